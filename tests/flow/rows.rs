//! Many rows side by side: most of a row's time is spent waiting.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

/// On two processors, more would only wait for one another.
const SIDE_BY_SIDE: usize = 12;

/// Checks all rows, also after one that failed; fails with how many did. Each of them has said why by then.
pub(crate) fn side_by_side<R: Sync>(rows: &[R], check: impl Fn(&R) + Sync) {
    let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        while let Some(row) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
            if catch_unwind(AssertUnwindSafe(|| check(row))).is_err() {
                failed.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    std::thread::scope(|threads| {
        for _ in 0..SIDE_BY_SIDE {
            threads.spawn(work);
        }
    });
    let failed = failed.into_inner();
    assert_eq!(failed, 0, "of {} rows", rows.len());
}
