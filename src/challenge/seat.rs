//! A seat at a CA. There are few: whoever waits for the DNS gives its own away, and takes one again before the CA is asked.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The seats at a CA.
#[derive(Clone, Debug)]
pub struct Seats(Arc<Semaphore>);

/// A seat, taken or given away; who drops it gives it away.
#[derive(Debug)]
pub struct Seat {
    seats: Seats,
    permit: Option<OwnedSemaphorePermit>,
}

impl Seats {
    /// So many.
    #[must_use]
    pub fn new(number: usize) -> Self {
        Self(Arc::new(Semaphore::new(number)))
    }

    /// One of them, not taken yet.
    #[must_use]
    pub fn seat(&self) -> Seat {
        Seat { seats: self.clone(), permit: None }
    }

    #[cfg(test)]
    pub(super) fn free(&self) -> usize {
        self.0.available_permits()
    }
}

impl Seat {
    /// Waits for it, in the order in which it is asked for; one that is taken stays so.
    pub async fn take(&mut self) {
        if self.permit.is_none() {
            self.permit = Arc::clone(&self.seats.0).acquire_owned().await.ok();
        }
    }

    /// Another may take it.
    pub fn give_away(&mut self) {
        self.permit = None;
    }
}
