//! Rust source with comments, strings and characters blanked out, so that what is left can be searched for words.
//!
//! Not a parser: it knows just enough of the lexical grammar (nested comments, raw strings, characters against lifetimes) never to take
//! the inside of one for code. Lines keep their numbers.

/// The text with everything that is not code replaced by spaces.
pub(crate) fn code_only(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = skip(&chars, at);
        if end == at {
            code.push(chars[at]);
            at += 1;
        } else {
            code.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    code
}

/// The words of blanked source with their line numbers, from one.
pub(crate) fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    code.lines().enumerate().flat_map(|(line, text)| {
        let words = text.split(|c: char| !is_word(c)).filter(|word| !word.is_empty());
        words.map(move |word| (line + 1, word))
    })
}

/// Where what begins at `at` and is no code ends; `at` itself where code is.
fn skip(chars: &[char], at: usize) -> usize {
    match (chars[at], chars.get(at + 1)) {
        ('/', Some('/')) => find(chars, at, |c| c == '\n'),
        ('/', Some('*')) => block_comment(chars, at),
        ('"', _) => string(chars, at),
        ('\'', _) => character(chars, at),
        ('r', Some('"' | '#')) if at == 0 || !is_word(chars[at - 1]) || is_raw_prefix(chars, at) => {
            raw_string(chars, at)
        }
        _ => at,
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether the `r` here ends `br` or `cr` that begin a word.
fn is_raw_prefix(chars: &[char], at: usize) -> bool {
    matches!(chars[at - 1], 'b' | 'c') && (at < 2 || !is_word(chars[at - 2]))
}

fn find(chars: &[char], from: usize, wanted: impl Fn(char) -> bool) -> usize {
    (from..chars.len()).find(|at| wanted(chars[*at])).unwrap_or(chars.len())
}

fn block_comment(chars: &[char], at: usize) -> usize {
    let (mut depth, mut at) = (0, at);
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => {
                (depth, at) = (depth - 1, at + 2);
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    chars.len()
}

fn string(chars: &[char], at: usize) -> usize {
    let mut at = at + 1;
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

fn raw_string(chars: &[char], at: usize) -> usize {
    let quote = find(chars, at + 1, |c| c != '#');
    if chars.get(quote) != Some(&'"') {
        // A raw identifier: its word counts.
        return at;
    }
    let hashes = quote - at - 1;
    let closes = |end: &usize| {
        chars[*end] == '"' && chars[*end + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes
    };
    (quote + 1..chars.len()).find(closes).map_or(chars.len(), |end| end + 1 + hashes)
}

/// A character literal; `at` for a lifetime.
fn character(chars: &[char], at: usize) -> usize {
    match (chars.get(at + 1), chars.get(at + 2)) {
        (Some('\\'), _) => find(chars, at + 3, |c| c == '\'').saturating_add(1).min(chars.len()),
        (Some(_), Some('\'')) => at + 3,
        _ => at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(text: &str) -> bool {
        words(&code_only(text)).any(|(_, word)| word == "unsafe")
    }

    #[test]
    fn code_is_found() {
        for text in [
            "unsafe { x() }",
            "let s = \"a\"; unsafe {}",
            "let c = '\"'; unsafe {} // \"",
            "fn f<'a>(x: &'a u8) { unsafe {} }",
            "let c = '\\''; unsafe {}",
            "let r = r#\"x\"#; unsafe {}",
            "let c = '\\u{1F600}'; unsafe {}",
            "/* a /* b */ c */ unsafe {}",
            "let r#type = 1; unsafe {}",
        ] {
            assert!(has(text), "{text}");
        }
    }

    #[test]
    fn what_is_no_code_is_not_found() {
        for text in [
            "// unsafe",
            "/* /* */ unsafe */",
            "\"unsafe\"",
            "\"\\\" unsafe\"",
            "r\"unsafe\"",
            "r##\"\"# unsafe\"##",
            "br#\"unsafe\"#",
            "#![forbid(unsafe_code)]",
        ] {
            assert!(!has(text), "{text}");
        }
    }

    #[test]
    fn lines_keep_their_numbers() {
        let code = code_only("/*\n\n*/ \"a\nb\"\nunsafe");
        assert_eq!(words(&code).collect::<Vec<_>>(), [(5, "unsafe")]);
    }
}
