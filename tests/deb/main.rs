//! The package as people get it: what is in it, and its life on Debian 11, 12 and 13, under each one's own systemd.
//!
//! `CERTFERRY_DEB` names the package that packaging/build-deb has made; without it these tests say so and do nothing.
//! With it all must be there: root, lintian, systemd-nspawn, and each Debian in a folder of its own under
//! `chroots/` in `CERTFERRY_PEERS_HOME`, as `.ci/run` makes them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod contents;
mod cron;
mod life;
mod machine;
mod newcomer;
#[path = "../flow/person.rs"]
#[allow(dead_code, reason = "who only answers needs a part of it")]
mod person;
mod town;
mod units;
