//! A keyspace: a named tree of its own inside a database.

use bytes::Bytes;
use std::fmt;
use std::ops::RangeBounds;
use std::sync::Arc;
use terrace_entry::Kind;

use crate::batch::{KeyspaceId, Ops, check_sizes};
use crate::db::Guard;
use crate::shared::Shared;
use crate::tree::Tree;
use crate::{Error, Iter, Parts, Result, WriteOptions};

/// A named set of keys with a tree of its own, sharing log, sequence, cache and background work with the other keyspaces
/// of its database. Cheap to clone.
pub struct Keyspace<P: Parts> {
    guard: Arc<Guard<P>>,
    tree: Arc<Tree<P>>,
}

impl<P: Parts> Clone for Keyspace<P> {
    fn clone(&self) -> Self {
        Keyspace { guard: Arc::clone(&self.guard), tree: Arc::clone(&self.tree) }
    }
}

impl<P: Parts> Keyspace<P> {
    pub(crate) fn new(guard: Arc<Guard<P>>, tree: Arc<Tree<P>>) -> Self {
        Keyspace { guard, tree }
    }

    pub(crate) fn guard(&self) -> Arc<Guard<P>> {
        Arc::clone(&self.guard)
    }

    pub(crate) fn id(&self) -> KeyspaceId {
        self.tree.id
    }

    pub(crate) fn tree(&self) -> &Arc<Tree<P>> {
        &self.tree
    }

    pub(crate) fn shared(&self) -> &Arc<Shared<P>> {
        self.guard.shared()
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.tree.name
    }

    /// Sets a key, as durably as the options say.
    ///
    /// # Errors
    ///
    /// As [`crate::Engine::put`].
    pub fn put(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
        self.put_with(key, value, WriteOptions::default())
    }

    /// Sets a key.
    ///
    /// # Errors
    ///
    /// As [`crate::Engine::put`].
    pub fn put_with(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        how: impl Into<WriteOptions>,
    ) -> Result<()> {
        self.write_one(Kind::Put, key.as_ref(), value.as_ref(), how.into())
    }

    /// Removes a key, as durably as the options say. Removing what is not there is no error.
    ///
    /// # Errors
    ///
    /// As [`crate::Engine::put`].
    pub fn delete(&self, key: impl AsRef<[u8]>) -> Result<()> {
        self.delete_with(key, WriteOptions::default())
    }

    /// Removes a key.
    ///
    /// # Errors
    ///
    /// As [`crate::Engine::put`].
    pub fn delete_with(&self, key: impl AsRef<[u8]>, how: impl Into<WriteOptions>) -> Result<()> {
        self.write_one(Kind::Delete, key.as_ref(), &[], how.into())
    }

    fn write_one(&self, kind: Kind, key: &[u8], value: &[u8], how: WriteOptions) -> Result<()> {
        check_sizes(key, value)?;
        if self.tree.is_removed() {
            return Err(Error::KeyspaceRemoved(self.tree.name.clone()));
        }
        let ops = Ops::One { keyspace: [self.tree.id], kind, key, value };
        self.shared().write(ops, how)
    }

    /// The value of a key.
    ///
    /// # Errors
    ///
    /// As [`crate::Engine::get`].
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Bytes>> {
        self.shared().get(&self.tree, key.as_ref(), None)
    }

    /// Lends the value of a key to `read`, and returns what that makes of it.
    ///
    /// # Errors
    ///
    /// As [`crate::Engine::get`].
    pub fn get_ref<R>(&self, key: impl AsRef<[u8]>, read: impl FnOnce(&[u8]) -> R) -> Result<Option<R>> {
        self.shared().get_ref(&self.tree, key.as_ref(), None, read)
    }

    /// Whether a key has a value. Costs as much as [`Keyspace::get_ref`].
    ///
    /// # Errors
    ///
    /// As [`crate::Engine::get`].
    pub fn contains_key(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        self.get_ref(key, |_| ()).map(|found| found.is_some())
    }

    /// Everything, in order.
    #[must_use]
    pub fn iter(&self) -> Iter<P> {
        self.range::<&[u8], _>(..)
    }

    /// What lies in a range of keys. A range whose start is after its end is empty.
    pub fn range<K: AsRef<[u8]>, R: RangeBounds<K>>(&self, range: R) -> Iter<P> {
        Iter::new(self.shared(), &self.tree, None, &range)
    }

    /// What begins with `prefix`.
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> Iter<P> {
        Iter::with_prefix(self.shared(), &self.tree, None, prefix.as_ref())
    }
}

impl<P: Parts> fmt::Debug for Keyspace<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyspace").field("name", &self.name()).finish()
    }
}
