//! Transcripts as tests: each a tree as text, and what a picker makes of it in tests/snapshots.

macro_rules! picks {
    ($picker:expr => $($name:ident: $tree:expr;)*) => {$(
        #[test]
        fn $name() {
            insta::assert_snapshot!(terrace_compaction::testing::transcript(&$picker, $tree, 8));
        }
    )*};
}
