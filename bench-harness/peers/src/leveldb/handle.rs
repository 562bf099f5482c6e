//! LevelDB's C functions behind safe types: each owns what it frees.
//!
//! The arguments, by name. *Open*: a pointer in a type here is what a create or open function returned, not null, freed once, on drop.
//! *Borrowed*: slices given to a call are copied by LevelDB before the call returns. *Threads*: a database and its options may be used from
//! many threads (include/leveldb/db.h); an iterator and a batch are used through `&mut` or by one thread.

use leveldb_sys::*;
use std::ffi::{CStr, CString, c_char};
use std::marker::PhantomData;
use std::path::Path;
use std::ptr;

/// What a database is opened with.
pub(super) struct Sizes {
    pub(super) memtable_bytes: usize,
    pub(super) cache_bytes: usize,
    pub(super) block_bytes: usize,
    pub(super) filter_bits: i32,
    pub(super) snappy: bool,
}

/// An open database, with the options of its calls.
pub(super) struct Db {
    db: *mut leveldb_t,
    cache: *mut leveldb_cache_t,
    filter: *mut leveldb_filterpolicy_t,
    options: *mut leveldb_options_t,
    reads: *mut leveldb_readoptions_t,
    writes: *mut leveldb_writeoptions_t,
    synced: *mut leveldb_writeoptions_t,
}

// SAFETY: *Threads*.
unsafe impl Send for Db {}
// SAFETY: *Threads*.
unsafe impl Sync for Db {}

/// Takes an error message of LevelDB's.
fn outcome(error: *mut c_char) -> Result<(), String> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: a message that is set is a C string that the caller frees.
    let text = unsafe { CStr::from_ptr(error) }.to_string_lossy().into_owned();
    // SAFETY: it is not used after this.
    unsafe { leveldb_free(error.cast()) };
    Err(text)
}

fn start(bytes: &[u8]) -> *const c_char {
    bytes.as_ptr().cast()
}

impl Db {
    pub(super) fn open(dir: &Path, sizes: &Sizes) -> Result<Self, String> {
        let name = CString::new(dir.to_string_lossy().into_owned()).map_err(|error| error.to_string())?;
        let mut error = ptr::null_mut();
        // SAFETY: *Open*; cache and filter live until the database is closed, in `drop`.
        let opened = unsafe {
            let cache = leveldb_cache_create_lru(sizes.cache_bytes);
            let filter = leveldb_filterpolicy_create_bloom(sizes.filter_bits);
            let options = leveldb_options_create();
            leveldb_options_set_create_if_missing(options, 1);
            leveldb_options_set_write_buffer_size(options, sizes.memtable_bytes);
            leveldb_options_set_block_size(options, sizes.block_bytes);
            leveldb_options_set_cache(options, cache);
            leveldb_options_set_filter_policy(options, filter);
            let compression = if sizes.snappy { Compression::Snappy } else { Compression::No };
            leveldb_options_set_compression(options, compression);
            let reads = leveldb_readoptions_create();
            leveldb_readoptions_set_verify_checksums(reads, 1);
            let writes = leveldb_writeoptions_create();
            let synced = leveldb_writeoptions_create();
            leveldb_writeoptions_set_sync(synced, 1);
            let db = leveldb_open(options, name.as_ptr(), &mut error);
            Db { db, cache, filter, options, reads, writes, synced }
        };
        outcome(error).map(|()| opened)
    }

    fn class(&self, synced: bool) -> *const leveldb_writeoptions_t {
        if synced { self.synced } else { self.writes }
    }

    pub(super) fn put(&self, key: &[u8], value: &[u8], synced: bool) -> Result<(), String> {
        let mut error = ptr::null_mut();
        let (options, key_start, value_start) = (self.class(synced), start(key), start(value));
        // SAFETY: *Open*, *Borrowed*.
        unsafe {
            leveldb_put(self.db, options, key_start, key.len(), value_start, value.len(), &mut error);
        }
        outcome(error)
    }

    pub(super) fn delete(&self, key: &[u8], synced: bool) -> Result<(), String> {
        let mut error = ptr::null_mut();
        // SAFETY: *Open*, *Borrowed*.
        unsafe { leveldb_delete(self.db, self.class(synced), start(key), key.len(), &mut error) };
        outcome(error)
    }

    pub(super) fn write(&self, batch: &mut Batch, synced: bool) -> Result<(), String> {
        let mut error = ptr::null_mut();
        // SAFETY: *Open*.
        unsafe { leveldb_write(self.db, self.class(synced), batch.0, &mut error) };
        outcome(error)
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Value>, String> {
        let (mut error, mut len) = (ptr::null_mut(), 0);
        // SAFETY: *Open*, *Borrowed*.
        let value = unsafe { leveldb_get(self.db, self.reads, start(key), key.len(), &mut len, &mut error) };
        outcome(error)?;
        Ok((!value.is_null()).then_some(Value { value, len }))
    }

    pub(super) fn iter(&self) -> Iter<'_> {
        // SAFETY: *Open*; the iterator does not outlive the borrow of the database.
        Iter { iter: unsafe { leveldb_create_iterator(self.db, self.reads) }, db: PhantomData }
    }

    /// Compacts everything, or what lies between a key and itself.
    pub(super) fn compact(&self, at: Option<&[u8]>) {
        let (key, len) = at.map_or((ptr::null(), 0), |key| (start(key), key.len()));
        // SAFETY: *Open*, *Borrowed*; null means no bound.
        unsafe { leveldb_compact_range(self.db, key, len, key, len) };
    }

    pub(super) fn property(&self, name: &str) -> Result<String, String> {
        let name = CString::new(name).map_err(|error| error.to_string())?;
        // SAFETY: *Open*.
        let text = unsafe { leveldb_property_value(self.db, name.as_ptr()) };
        if text.is_null() {
            return Err(format!("there is no property {name:?}"));
        }
        // SAFETY: a property is a C string that the caller frees.
        let owned = unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned();
        // SAFETY: it is not used after this.
        unsafe { leveldb_free(text.cast()) };
        Ok(owned)
    }
}

impl Drop for Db {
    fn drop(&mut self) {
        // SAFETY: *Open*; the database goes first, since it uses the others. One that did not open is null.
        unsafe {
            if !self.db.is_null() {
                leveldb_close(self.db);
            }
            leveldb_options_destroy(self.options);
            leveldb_readoptions_destroy(self.reads);
            leveldb_writeoptions_destroy(self.writes);
            leveldb_writeoptions_destroy(self.synced);
            leveldb_filterpolicy_destroy(self.filter);
            leveldb_cache_destroy(self.cache);
        }
    }
}

/// A value that LevelDB allocated.
pub(super) struct Value {
    value: *mut c_char,
    len: usize,
}

impl Value {
    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: *Open*; a found value has this many bytes.
        unsafe { std::slice::from_raw_parts(self.value.cast(), self.len) }
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        // SAFETY: *Open*.
        unsafe { leveldb_free(self.value.cast()) };
    }
}

/// Writes that are applied together.
pub(super) struct Batch(*mut leveldb_writebatch_t);

impl Batch {
    pub(super) fn new() -> Self {
        // SAFETY: needs nothing.
        Batch(unsafe { leveldb_writebatch_create() })
    }

    pub(super) fn put(&mut self, key: &[u8], value: &[u8]) {
        // SAFETY: *Open*, *Borrowed*.
        unsafe { leveldb_writebatch_put(self.0, start(key), key.len(), start(value), value.len()) };
    }

    pub(super) fn delete(&mut self, key: &[u8]) {
        // SAFETY: *Open*, *Borrowed*.
        unsafe { leveldb_writebatch_delete(self.0, start(key), key.len()) };
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        // SAFETY: *Open*.
        unsafe { leveldb_writebatch_destroy(self.0) };
    }
}

/// An iterator.
pub(super) struct Iter<'db> {
    iter: *mut leveldb_iterator_t,
    db: PhantomData<&'db Db>,
}

impl Iter<'_> {
    pub(super) fn seek(&mut self, key: &[u8]) {
        // SAFETY: *Open*, *Borrowed*.
        unsafe { leveldb_iter_seek(self.iter, start(key), key.len()) };
    }

    pub(super) fn seek_to_first(&mut self) {
        // SAFETY: *Open*.
        unsafe { leveldb_iter_seek_to_first(self.iter) };
    }

    pub(super) fn seek_to_last(&mut self) {
        // SAFETY: *Open*.
        unsafe { leveldb_iter_seek_to_last(self.iter) };
    }

    fn is_valid(&self) -> bool {
        // SAFETY: *Open*.
        unsafe { leveldb_iter_valid(self.iter) != 0 }
    }

    /// Moves on from an item.
    pub(super) fn next(&mut self) {
        if self.is_valid() {
            // SAFETY: *Open*; the position is valid.
            unsafe { leveldb_iter_next(self.iter) };
        }
    }

    /// Moves back from an item.
    pub(super) fn prev(&mut self) {
        if self.is_valid() {
            // SAFETY: *Open*; the position is valid.
            unsafe { leveldb_iter_prev(self.iter) };
        }
    }

    /// The pair at the position, until the next move.
    pub(super) fn item(&self) -> Option<(&[u8], &[u8])> {
        if !self.is_valid() {
            return None;
        }
        let (mut key_len, mut value_len) = (0usize, 0usize);
        // SAFETY: *Open*; the lengths are written through pointers that the binding calls const; key and value stay until the next move, which
        // takes the iterator mutably.
        unsafe {
            let key = leveldb_iter_key(self.iter, &raw mut key_len);
            let value = leveldb_iter_value(self.iter, &raw mut value_len);
            Some((
                std::slice::from_raw_parts(key.cast(), key_len),
                std::slice::from_raw_parts(value.cast(), value_len),
            ))
        }
    }

    pub(super) fn status(&self) -> Result<(), String> {
        let mut error: *mut c_char = ptr::null_mut();
        // SAFETY: *Open*; the message is written through a pointer that the binding calls const.
        unsafe { leveldb_iter_get_error(self.iter, (&raw mut error).cast()) };
        outcome(error)
    }
}

impl Drop for Iter<'_> {
    fn drop(&mut self) {
        // SAFETY: *Open*.
        unsafe { leveldb_iter_destroy(self.iter) };
    }
}
