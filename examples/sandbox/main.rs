//! The README's first command: the whole main job before one's eyes, in a world on loopback, with no account anywhere.
//!
//! `cargo run --example sandbox`; `-- --speed slow` to watch, `-- --keep` to go on by hand.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "it tells a story, by the real clock"
)]

mod story;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use story::Teller;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let slow = args.windows(2).any(|pair| pair == ["--speed", "slow"]);
    let keep = args.iter().any(|arg| arg == "--keep");
    let pause = if slow { Duration::from_millis(400) } else { Duration::ZERO };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(tell(Teller::new(pause)?, keep))
}

async fn tell(mut teller: Teller, keep: bool) -> Result<()> {
    teller.introduce();

    teller.chapter("From nothing to a served certificate");
    let code = teller.certferry("renew").await;
    ensure!(code == 0, "the first run must be well");
    teller.what_the_world_saw();
    teller.handshake("cdn.example.test").await.context("the edge serves the certificate")?;
    teller.handshake("www.example.test").await.context("the wildcard CDN domain too")?;

    teller.chapter("Once more: nothing to do");
    ensure!(teller.certferry("renew").await == 0, "nothing is to be done");
    teller.what_the_world_saw();

    teller.chapter("Somebody changes a certificate in the console");
    teller.change_in_the_console("cdn.example.test");
    teller.certferry("plan").await;
    ensure!(teller.certferry("renew").await == 0, "it is put right");

    teller.chapter("certbot renews, and the cloud is busy: the hook fails, the timer heals");
    teller.certbot_renews("shop.example.test").await?;
    teller.cloud_is_busy();
    teller.certferry("hook --deadline 5").await;
    teller.cloud_is_well();
    ensure!(teller.certferry("renew").await == 0, "the next run heals it");
    teller.handshake("shop.example.test").await.context("the edge serves certbot's certificate")?;

    teller.chapter("What is");
    ensure!(teller.certferry("status").await == 0, "all is in step");
    if keep { teller.keep().await } else { Ok(()) }
}
