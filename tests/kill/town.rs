//! A town: a world, a config that knows it, and the store beside it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use certferry_sandbox::world::{Certificate, Seed, World};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

/// The names of the world's certificate and lineage.
pub(crate) const NAMES: [&str; 2] = ["example.test", "*.example.test"];

/// Where they go, as the API names it.
pub(crate) const TARGETS: [&str; 2] = ["cdn.example.test", ".example.test"];

pub(crate) struct Town {
    pub(crate) world: World,
    folder: TempDir,
    config: PathBuf,
}

impl Town {
    pub(crate) fn new(change: impl FnOnce(&mut Seed)) -> Self {
        let mut seed = Seed::default();
        // On a busy machine the CA waits longer for its DNS.
        seed.ca = seed.ca.rules(|rules| rules.dns_timeout = std::time::Duration::from_secs(10));
        change(&mut seed);
        let world = World::with(seed);
        let folder = tempfile::tempdir().unwrap();
        let config = world.config(folder.path());
        Self { world, folder, config }
    }

    /// The program with the config.
    pub(crate) fn program(&self, args: &str) -> Command {
        self.program_with(&self.config, args)
    }

    fn program_with(&self, config: &Path, args: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_certferry"));
        command.arg("--config").arg(config).args(args.split_whitespace()).env_clear();
        command
    }

    /// Runs it to its end, which must be a good one. Bounded: `timeout` ends a run that hangs.
    pub(crate) fn must(&self, row: &str, args: &str) -> String {
        let program = self.program(args);
        let mut bounded = Command::new("timeout");
        bounded.arg("100").arg(program.get_program()).args(program.get_args()).env_clear();
        let Output { status, stdout, stderr } = bounded.output().unwrap();
        let [stdout, stderr] = [stdout, stderr].map(|text| String::from_utf8(text).unwrap());
        assert_eq!(status.code(), Some(0), "{row}, then {args}: {stdout}{stderr}");
        stdout
    }

    pub(crate) fn plan(&self, row: &str) -> Vec<Value> {
        let plan: Value = serde_json::from_str(&self.must(row, "plan --json")).unwrap();
        plan["steps"].as_array().unwrap().clone()
    }

    /// Another client's lineage: what was issued to a store of its own, with the same CA. From now on the config
    /// asks for nothing.
    pub(crate) fn other_client(&self) -> PathBuf {
        let elsewhere = self.folder.path().join("other");
        let config = self.world.config_for(&elsewhere, &[Certificate::new(&NAMES, &[])]);
        let issued = self.program_with(&config, "renew").output().unwrap();
        assert!(issued.status.success(), "{}", String::from_utf8_lossy(&issued.stderr));
        self.world.config_for(self.folder.path(), &[]);
        elsewhere.join("store/live").join(NAMES[0])
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    pub(crate) fn orders(&self) -> usize {
        self.world.ca.orders().len()
    }

    pub(crate) fn uploads(&self) -> usize {
        self.world.cloud.calls("SetDomainServerCertificate").len()
    }
}

/// All files, links and folders below a folder; none where there is no folder.
pub(crate) fn below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries.map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(below(&entry.path()));
        }
        found.push(entry.path());
    }
    found
}

/// SHA-256 of a PEM's first certificate, as the cloud shows it.
pub(crate) fn fingerprint(chain: &Path) -> String {
    let der = pem::parse(fs::read(chain).unwrap()).unwrap().into_contents();
    Sha256::digest(der).iter().map(|byte| format!("{byte:02x}")).collect()
}
