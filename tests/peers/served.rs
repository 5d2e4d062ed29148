//! What the cloud serves and what lies on disk, judged by openssl.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use super::program::{need_debian, run};
use super::world::{Ca, World};

/// Is there what judges what is served, and what puts values into the DNS?
pub(crate) fn can_be_judged() -> bool {
    let needed = ["openssl", "curl"].map(|name| need_debian(name, name));
    needed.iter().all(Option::is_some)
}

/// The chain that a CDN domain serves leads to the CA's root, and its key belongs to its leaf; answers the fingerprint.
pub(crate) fn check<C: Ca>(world: &World<C>, api_name: &str) -> String {
    let served = world.cloud.served(api_name);
    let served = served.unwrap_or_else(|| panic!("{api_name} serves nothing"));
    let chain = world.folder().join("served.pem");
    let key = world.folder().join("served.key");
    fs::write(&chain, &served.chain_pem).unwrap();
    fs::write(&key, &served.key_pem).unwrap();
    pair(api_name, world.ca.root(), &chain, &key);
    served.fingerprint
}

/// The chain leads to the root, and the key belongs to its leaf.
pub(crate) fn pair(row: &str, root: &Path, chain: &Path, key: &Path) {
    let folder = root.parent().unwrap();
    let [root, chain, key] = [root, chain, key].map(|path| path.to_str().unwrap());
    let said = openssl(folder, &["verify", "-CAfile", root, "-untrusted", chain, chain]);
    assert_eq!(said, format!("{chain}: OK\n"), "{row}");
    let of_leaf = openssl(folder, &["x509", "-in", chain, "-noout", "-pubkey"]);
    let of_key = openssl(folder, &["pkey", "-in", key, "-pubout"]);
    assert_eq!(of_leaf, of_key, "{row}: its key");
}

/// SHA-256 of the first certificate in a file, lower hex.
pub(crate) fn fingerprint(folder: &Path, file: &Path) -> String {
    let args = ["x509", "-in", file.to_str().unwrap(), "-noout", "-fingerprint", "-sha256"];
    let said = openssl(folder, &args);
    let (_, digits) = said.trim().split_once('=').unwrap();
    digits.replace(':', "").to_lowercase()
}

fn openssl(folder: &Path, args: &[&str]) -> String {
    let mut command = Command::new("openssl");
    command.args(args);
    let ran = run(command, folder);
    assert_eq!(ran.code, Some(0), "openssl {args:?}: {}", ran.stderr);
    ran.stdout
}

/// Nobody else may read what lies in the folder, nor in its folders.
pub(crate) fn private(folder: &Path) {
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(folder), 0o700, "{}", folder.display());
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            private(&path);
        } else {
            assert_eq!(mode(&path), 0o600, "{}", path.display());
        }
    }
}
