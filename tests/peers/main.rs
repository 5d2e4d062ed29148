//! The real certferry and the sandbox against programs that we did not write: Pebble and acme2certifier, Knot, certbot
//! and other ACME clients, the cloud's official SDKs, dig, openssl.
//!
//! A program that is missing is skipped with a visible line; with `CERTFERRY_PEERS=require` it is a failure. What
//! cargo does not build comes from `PATH`, or from `CERTFERRY_PEERS_HOME` (default `target/peers`), as `.ci/run` fills
//! it: `bin/` the newest Pebble, lego v5, the newest Caddy and the types of Kubernetes, `certbot/` PyPI's certbot, `a2c/`
//! acme2certifier, `venv/` Alibaba Cloud's SDK for Python, `node/` that for Node.js, `debian/` a package that is not to
//! be installed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod a2c;
mod account;
mod adopts;
mod ari;
mod certbot;
mod client;
mod clients;
mod crowd;
mod files;
mod hooks;
mod knot;
mod kubernetes;
mod names;
mod pebble;
mod persist;
mod program;
mod refusals;
mod renew;
mod resolver;
mod rfc2136;
mod sdk;
mod served;
mod stop;
mod tools;
mod world;
mod zones;
