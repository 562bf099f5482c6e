//! HTML pages that stand alone: style, plots and script inline, nothing from a network.
//!
//! They are written as XML is, each tag closed, so that any parser can check them. Colours follow the reader's choice of light or dark, and none
//! is the only sign of anything.

pub(crate) mod panels;
pub(crate) mod plot;
pub(crate) mod scatter;

/// Ink and ground, light and dark, for all pages; then what the plots are drawn with.
const STYLE: &str = ":root{color-scheme:light dark;--ground:#ffffff;--ink:#1d2429;--faint:#5c6770;--line:#dfe4e7;--box:#f3f5f6;--front:#0b7a75;\
--c0:#0b62a4;--c1:#c2410c;--c2:#0a7d5a;--c3:#9d3c8c;--c4:#8a6d00;--c5:#be185d;--c6:#4b5563;--c7:#5b4bc4}\
@media(prefers-color-scheme:dark){:root{--ground:#14181b;--ink:#e6eaed;--faint:#9aa5ad;--line:#31393f;--box:#1e2428;--front:#4fd1c5;\
--c0:#6cb6ff;--c1:#ff9d5c;--c2:#4fd1a5;--c3:#e39bdc;--c4:#e3c04a;--c5:#ff8fb8;--c6:#b3bdc7;--c7:#b3a6ff}}\
body{font:15px/1.5 system-ui,sans-serif;max-width:1240px;margin:2rem auto;padding:0 1rem;color:var(--ink);background:var(--ground)}\
h1{font-size:1.6rem}h2{font-size:1.2rem;margin:2.4rem 0 .2rem}p{margin:.3rem 0;max-width:60rem}a{color:inherit}\
pre{white-space:pre-wrap;background:var(--box);padding:.7rem;font-size:13px}\
table{border-collapse:collapse;font-size:13px;margin:.7rem 0;font-variant-numeric:tabular-nums}\
th,td{padding:.15rem .6rem;text-align:right;border-bottom:1px solid var(--line)}th:first-child,td:first-child{text-align:left}\
.plots{display:flex;flex-wrap:wrap;gap:1.2rem}svg{font:12px system-ui,sans-serif;fill:var(--ink);max-width:100%;height:auto}\
svg .title{font-weight:600}svg .grid{stroke:var(--line)}svg .axis{fill:var(--faint)}svg .spread{stroke:var(--ink);stroke-width:1.5;opacity:.6}";

/// A whole page of this title and content; `more` is style that only it has.
pub(crate) fn document(title: &str, body: &str, more: &str) -> String {
    let title = escape(title);
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/><meta name=\"viewport\" content=\"width=device-width\"/>\
         <title>{title}</title><style>{STYLE}{more}</style></head><body>\n{body}</body></html>\n"
    )
}

/// Text that may stand in HTML and in its attributes.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Checks that a page is well-formed, that no two elements have one id, that it names nothing outside, and that all its numbers are numbers.
    pub(crate) fn check(page: &str) {
        let page = page.strip_prefix("<!doctype html>").expect("a page says that it is HTML");
        let (mut open, mut ids) = (Vec::new(), BTreeSet::new());
        let mut rest = page;
        while let Some((text, after)) = rest.split_once('<') {
            numbers(text);
            let (tag, after) = after.split_once('>').expect("a tag ends");
            let name: String = tag.chars().take_while(|c| !c.is_whitespace()).collect();
            rest = after;
            if let Some(closed) = name.strip_prefix('/') {
                assert_eq!(open.pop().as_deref(), Some(closed), "before {:.80}", rest);
                continue;
            }
            numbers(tag);
            attributes(tag.trim_end_matches('/'), &mut ids);
            if name == "script" || name == "style" {
                // Text up to its end, whatever stands in it.
                let end = rest.find(&format!("</{name}>")).expect("it is closed");
                outside(&rest[..end]);
                rest = &rest[end + name.len() + 3..];
            } else if !tag.ends_with('/') {
                open.push(name);
            }
        }
        assert!(open.is_empty(), "{open:?}");
    }

    fn attributes(tag: &str, ids: &mut BTreeSet<String>) {
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        let mut pieces = tag.split('"');
        while let (Some(name), Some(value)) = (pieces.next(), pieces.next()) {
            outside(value);
            match name.trim_start_matches(|c: char| c != ' ').trim() {
                "id=" => assert!(ids.insert(value.to_owned()), "two have the id {value}"),
                "src=" => panic!("{tag}"),
                "href=" => assert!(value.starts_with('#'), "{tag}"),
                _ => {}
            }
        }
    }

    fn numbers(text: &str) {
        let mut words = text.split(|c: char| !c.is_alphanumeric());
        assert!(!words.any(|word| word == "NaN" || word == "inf"), "{text}");
    }

    fn outside(text: &str) {
        for word in ["://", "url(", "@import", "fetch(", "XMLHttpRequest", "import("] {
            assert!(!text.contains(word), "{text}");
        }
    }

    fn faulty(body: &str) -> bool {
        let page = document("t", body, "");
        std::panic::catch_unwind(|| check(&page)).is_err()
    }

    #[test]
    fn a_sound_page_passes_and_faults_are_found() {
        check(&document("a < b", "<p id=\"x\">1 &lt; 2<br/></p><a href=\"#x\">x</a>", ""));
        for body in [
            "<p>",
            "<p><b></p></b>",
            "<p id=\"x\"></p><p id=\"x\"></p>",
            "<img src=\"x.png\"/>",
            "<a href=\"https://x.org\">x</a>",
            "<script>fetch('x')</script>",
            "<p>NaN</p>",
        ] {
            assert!(faulty(body), "{body}");
        }
    }

    /// Relative luminance (WCAG 2.2).
    fn luminance(colour: &str) -> f64 {
        let part = |at: usize| {
            let share = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).expect("hexadecimal")) / 255.0;
            if share <= 0.04045 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5)
    }

    #[test]
    fn every_colour_can_be_told_from_the_ground() {
        let (light, dark) = STYLE.split_once("@media").expect("a dark side");
        for side in [light, dark] {
            let colour = |name: &str| {
                let at = side.find(&format!("--{name}:")).unwrap_or_else(|| panic!("no colour {name}"));
                luminance(&side[at + name.len() + 3..][..7])
            };
            let contrast = |name: &str| {
                let (one, other) = (colour(name), colour("ground"));
                (one.max(other) + 0.05) / (one.min(other) + 0.05)
            };
            // WCAG 2.2 asks for 4.5 of text and 3 of what is drawn; names stand in these colours too.
            for name in ["ink", "faint", "front", "c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7"] {
                assert!(contrast(name) >= 4.5, "{name}: {}", contrast(name));
            }
        }
    }
}
