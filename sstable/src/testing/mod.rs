//! Conformance suites: run them over your own table format or block cache.
