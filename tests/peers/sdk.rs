//! Alibaba Cloud's official SDKs against the sandbox's cloud: its signature check is proved by clients of its maker.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use certferry_sandbox::cloud::{Account, Cloud, Domain, KeyFormat, Role, Seed};
use rcgen::{CertificateParams, KeyPair};
use serde_json::Value;

use super::program::{find, home, need, run};

const DOMAIN: &str = "cdn.example.test";
const ROLE: &str = "deployer";
const SECRET: &str = "secret of the SDKs/+=";

/// An interpreter and its script.
struct Sdk {
    program: PathBuf,
    script: &'static str,
    modules: PathBuf,
    /// What it calls a wrong secret.
    refused: &'static str,
}

fn python() -> Option<Sdk> {
    let program = home().join("venv/bin/python");
    let found = program.is_file().then_some(program);
    let remedy =
        "python3 -m venv $CERTFERRY_PEERS_HOME/venv, then its pip install aliyun-python-sdk-core";
    let program = need(found, "aliyun-python-sdk-core", remedy)?;
    // It compares the string to sign that the server echoes with its own: where they are the same, it is the secret.
    let refused = "InvalidAccessKeySecret";
    Some(Sdk { program, script: "python.py", modules: PathBuf::new(), refused })
}

fn node() -> Option<Sdk> {
    let modules = home().join("node/node_modules");
    let found = find("node").filter(|_| modules.join("@alicloud/pop-core").is_dir());
    let remedy = "npm install --prefix $CERTFERRY_PEERS_HOME/node @alicloud/pop-core";
    let program = need(found, "@alicloud/pop-core", remedy)?;
    Some(Sdk { program, script: "node.js", modules, refused: "SignatureDoesNotMatch" })
}

/// What it prints, with this account.
fn ask(sdk: &Sdk, folder: &Path, cloud: &Cloud, account: &Account, layout: &str) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/sdk").join(sdk.script);
    let mut command = Command::new(&sdk.program);
    command.arg(script).env("NODE_PATH", &sdk.modules).env("NO_PROXY", "127.0.0.1");
    command.env("ENDPOINT", cloud.url()).env("DOMAIN", DOMAIN).env("LAYOUT", layout);
    command.env("ACCESS_KEY_ID", &account.access_key_id).env("ACCESS_KEY_SECRET", &account.secret);
    command.env("SECURITY_TOKEN", account.token.as_deref().unwrap_or_default());
    command.env("ROLE_ARN", Role::new(ROLE).arn());
    command.env("CHAIN", folder.join("chain.pem")).env("KEY", folder.join("key.pem"));
    let ran = run(command, folder);
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error} in {ran:#?}"))
}

fn check(sdk: &Sdk, layouts: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new([DOMAIN.to_owned()]).unwrap();
    let chain = params.self_signed(&key).unwrap().pem();
    fs::write(folder.path().join("chain.pem"), &chain).unwrap();
    fs::write(folder.path().join("key.pem"), key.serialize_pem()).unwrap();
    let lasting = Account::new("LTAIlasting", SECRET);
    let temporary = Account::new("STS.temporary", SECRET).token("a token/+=");
    for layout in layouts {
        for account in [&lasting, &temporary] {
            let row = format!("{} {layout} {}", sdk.script, account.access_key_id);
            let seed = Seed::new().account(lasting.clone()).account(temporary.clone());
            let rules = |rules: &mut certferry_sandbox::cloud::Rules| {
                rules.key_format = KeyFormat::Any;
            };
            let seed = seed.role(Role::new(ROLE)).domain(Domain::online(DOMAIN));
            let cloud = Cloud::start(seed.rules(rules));
            let said = ask(sdk, folder.path(), &cloud, account, layout);
            assert_eq!(said["ok"], true, "{row}: {said}");
            assert_eq!(said["status"], "on", "{row}: {said}");
            assert_eq!(said["domains"], serde_json::json!([DOMAIN]), "{row}: {said}");
            let served = cloud.served(DOMAIN).unwrap();
            assert_eq!(
                (&served.chain_pem, &said["cert_names"][1]),
                (&chain, &served.cert_name.into())
            );
            assert_eq!(cloud.temporary_keys().len(), 1, "{row}: a role was assumed");
            let wrong = Account { secret: "another".to_owned(), ..account.clone() };
            let said = ask(sdk, folder.path(), &cloud, &wrong, layout);
            assert_eq!(said["ok"], false, "{row}: {said}");
            assert_eq!(said["code"], sdk.refused, "{row}: {said}");
        }
    }
}

#[test]
fn python_signs_as_the_cloud_checks() {
    if let Some(sdk) = python() {
        check(&sdk, &["query", "body"]);
    }
}

#[test]
fn node_signs_as_the_cloud_checks() {
    if let Some(sdk) = node() {
        check(&sdk, &["body"]);
    }
}
