//! The conformance suite for [`crate::CompactionPicker`].
