//! What an Issuer says before it speaks to anybody.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::*;

#[test]
fn the_journal_keeps_no_remedy() {
    let error = anyhow::anyhow!("no\nhelp: do it").context("the CA refused");
    assert_eq!(Failure::free(error).in_short(), "the CA refused: no");
}
