//! A stage: a server on a thread and a runtime of its own, so that a test may block without starving it.

use std::future::Future;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

/// Runs its server until it is dropped; everything that the server spawned ends with it.
pub(crate) struct Stage {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Stage {
    /// Runs `play` on a new thread; sockets are bound before, so that their addresses are known at once.
    pub(crate) fn open<F>(name: &str, play: impl FnOnce() -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()>,
    {
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name(format!("sandbox-{name}"))
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .expect("a runtime for the sandbox");
                runtime.block_on(async {
                    tokio::select! {
                        () = play() => {}
                        _ = stopped => {}
                    }
                });
            })
            .expect("a thread for the sandbox");
        Self { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic on the stage has been printed by its thread; a second one here would abort the test.
            drop(thread.join());
        }
    }
}
