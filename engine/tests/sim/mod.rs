//! A database in memory whose time and background work the test drives.

use std::sync::Arc;
use terrace::{Builder, Clock, Engine, Executor, Parts, SimClock, SimExecutor};
use terrace_vfs::MemVfs;

pub(crate) struct Sim {
    pub(crate) mem: MemVfs,
    pub(crate) clock: Arc<SimClock>,
    pub(crate) executor: Arc<SimExecutor>,
}

impl Sim {
    pub(crate) fn over(mem: &MemVfs) -> Self {
        let clock = Arc::new(SimClock::new());
        let executor = Arc::new(SimExecutor::new(1, Arc::clone(&clock) as Arc<dyn Clock>));
        Sim { mem: mem.clone(), clock, executor }
    }

    /// A job is run by the test, or by a caller who has to wait for it.
    pub(crate) fn builder<P: Parts>(&self) -> Builder<P> {
        Engine::<P>::builder("/db")
            .vfs(Arc::new(self.mem.clone()))
            .clock(Arc::clone(&self.clock) as Arc<dyn Clock>)
            .executor(Arc::clone(&self.executor) as Arc<dyn Executor>)
    }
}
