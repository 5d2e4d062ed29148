//! The hook's promise to who calls it, in paused time: a cloud that never answers costs no more than the time it has.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::os::unix::fs::PermissionsExt as _;

use clap::Parser as _;

use super::*;
use crate::cert::testing::pair;
use crate::cli::Cli;
use crate::ground::{Ask, Clock, Env, Input, Say};

/// A house of its own, and a cloud that takes every connection and says nothing.
struct House {
    folder: tempfile::TempDir,
    _silence: std::net::TcpListener,
}

impl House {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let silence = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let (chain, key) = pair(&["*.example.test"]);
        let config = format!(
            "[store]\npath = \"store\"\n[trust]\nroots = \"any\"\n[aliyun.default]\ncdn_endpoint = \"http://{}\"\n",
            silence.local_addr().unwrap()
        );
        for (name, text) in [("a.crt", &chain), ("a.key", &key), ("config.toml", &config)] {
            std::fs::write(folder.path().join(name), text).unwrap();
            let mode = std::fs::Permissions::from_mode(0o600);
            std::fs::set_permissions(folder.path().join(name), mode).unwrap();
        }
        Self { folder, _silence: silence }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// The hook as its client calls it, and how long it took.
    async fn hooked(&self, words: &[&str]) -> (Ended, Duration) {
        let config = self.path("config.toml");
        let flags =
            ["certferry", "--config", &config, "hook", "--json", "--domain", "a.example.test"];
        let env = [
            ("ALIBABA_CLOUD_ACCESS_KEY_ID", "AKID"),
            ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "s3cret"),
        ];
        let ground = Ground {
            clock: Clock::new(|| "2026-03-01T00:00:00Z".parse().unwrap()),
            env: Env::from_iter(env),
            input: Input::nothing(),
            stop: Default::default(),
            say: Say::nothing(),
            ask: Ask::nobody(),
            width: 80,
        };
        let began = Instant::now();
        let cli = Cli::parse_from(flags.iter().chain(words));
        (crate::commands::run(cli, ground).await, began.elapsed())
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_calls_gets_an_end_in_time() {
    for (client, deadline) in [("flags", 100), ("caddy", 25)] {
        let house = House::new();
        let (chain, key) = (house.path("a.crt"), house.path("a.key"));
        let words = match client {
            "caddy" => vec!["--", "caddy", "a.example.test", &chain, &key],
            _ => vec!["--cert", &chain, "--key", &key],
        };
        let (ended, took) = house.hooked(&words).await;
        let report: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
        let end = &report["targets"][0];
        assert_eq!((ended.code, &end["outcome"]), (1, &"waiting".into()), "{client}: {report:#}");
        assert!(ended.stderr.contains("certferry.timer"), "{client}: {}", ended.stderr);
        // The last of its time, and no more: it did not give up before.
        let time = Duration::from_secs(deadline - 5)..=Duration::from_secs(deadline);
        assert!(time.contains(&took), "{client}: {took:?}: {report:#}");
    }
}
