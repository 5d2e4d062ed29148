//! The sources as tables: an environment, files, and what answers; whose key it is, or why there is none.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

mod files;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use secrecy::ExposeSecret;

use crate::aliyun::Account;
use crate::config::{self, Aliyun};
use crate::ground::{Clock, Env, Ground, Say};
use crate::http::{Answer, Error as Lost, Http};

/// What must never be told.
const CANARIES: [&str; 4] =
    ["s3cret-of-the-key", "t0ken-of-the-key", "oidc.t0ken", "s3cret-of-a-role"];

const AK: &str = r#"{"name": "ak", "mode": "AK", "access_key_id": "LTAIcli", "access_key_secret": "s3cret-of-the-key"}"#;
const INI: &str = "[default]\ntype = access_key\naccess_key_id = LTAIini\naccess_key_secret = s3cret-of-the-key # mine\n";

/// One row: an environment, files below the home folder, the configuration; who answers is [`answer`].
struct Row {
    env: Vec<(String, String)>,
    files: Vec<(String, String)>,
    config: Aliyun,
    role: Option<&'static str>,
}

/// Nothing set up, and no instance.
fn nothing() -> Row {
    Row { env: Vec::new(), files: Vec::new(), config: Aliyun::default(), role: None }
}

impl Row {
    fn var(mut self, name: &str, value: &str) -> Self {
        self.env.push((format!("ALIBABA_CLOUD_{name}"), value.to_owned()));
        self
    }

    fn key(self) -> Self {
        self.var("ACCESS_KEY_ID", "LTAIenv").var("ACCESS_KEY_SECRET", "s3cret-of-the-key")
    }

    fn file(mut self, path: &str, text: &str) -> Self {
        self.files.push((path.to_owned(), text.to_owned()));
        self
    }

    /// A configuration of the CLI whose current profile is the first of these.
    fn cli(self, profiles: &[&str]) -> Self {
        let first: serde_json::Value = serde_json::from_str(profiles[0]).unwrap();
        let text = format!(
            r#"{{"current": {}, "meta_path": "", "profiles": [{}]}}"#,
            first["name"],
            profiles.join(",")
        );
        self.file(".aliyun/config.json", &text)
    }

    fn ini(self, text: &str) -> Self {
        self.file(".alibabacloud/credentials", text)
    }

    fn oidc(self) -> Self {
        self.var("ROLE_ARN", "acs:ram::1:role/pod")
            .var("OIDC_PROVIDER_ARN", "acs:ram::1:oidc-provider/k8s")
            .var("OIDC_TOKEN_FILE", "HOME/token")
            .file("token", "oidc.t0ken\n")
    }

    /// On an instance with this role.
    fn instance(self, role: &'static str) -> Self {
        Self { role: Some(role), ..self }
    }

    fn config(mut self, change: impl FnOnce(&mut Aliyun)) -> Self {
        change(&mut self.config);
        self
    }

    /// `source | key id`, then what was passed over, then what was asked; or the error.
    fn outcome(&self) -> (Result<String, String>, Vec<String>) {
        let home = tempfile::tempdir().unwrap();
        let at = |text: &str| text.replace("HOME", home.path().to_str().unwrap());
        for (path, text) in &self.files {
            let path = home.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, at(text)).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
        let env = self.env.iter().map(|(name, value)| (name.clone(), at(value)));
        let env = env.chain([("HOME".to_owned(), at("HOME"))]);
        let (account, asked) = account(Env::from_iter(env), &self.config, self.role);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (found, key) = runtime.block_on(async {
            (account.found().await, account.inner.keyring.opened(&account).await)
        });
        let home = home.path().to_str().unwrap();
        let outcome = match found {
            Ok(found) => Ok(format!("{} | {}", found.source, key.unwrap().credentials.id)),
            Err(error) => Err(error.to_string()),
        };
        let outcome = match outcome {
            Ok(text) => Ok(text.replace(home, "~")),
            Err(text) => Err(text.replace(home, "~")),
        };
        let asked = asked.lock().unwrap().clone();
        (outcome, asked)
    }
}

fn account(
    env: Env,
    config: &Aliyun,
    role: Option<&'static str>,
) -> (Account, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    let http = Http::scripted(Box::new(move |request| {
        let body = request.body().and_then(|body| body.as_bytes()).unwrap_or_default();
        let body = String::from_utf8_lossy(body);
        let url = request.url();
        log.lock().unwrap().push(format!("{} {url} {body}", request.method()));
        answer(url.path(), &body, role)
    }));
    let ground = Ground {
        input: crate::ground::Input::nothing(),
        clock: Clock::new(|| "2026-01-02T03:04:05Z".parse().unwrap()),
        env,
        stop: tokio_util::sync::CancellationToken::new(),
        say: Say::nothing(),
        ask: crate::ground::Ask::nobody(),
        width: 80,
    };
    (Account::open("main", config, None, http, &ground, Vec::new()).unwrap(), asked)
}

/// An instance's metadata service, if there is a role; a credentials URI; and STS, whose keys are named by the role.
fn answer(path: &str, body: &str, role: Option<&str>) -> Result<Answer, Lost> {
    let keys = |id: &str| {
        format!(
            r#"{{"AccessKeyId":"STS.{id}","AccessKeySecret":"s3cret-of-a-role","SecurityToken":"t0ken-of-the-key","Expiration":"2026-01-02T09:04:05Z"}}"#
        )
    };
    let said = |status, body: String| {
        Ok(Answer { status, headers: reqwest::header::HeaderMap::new(), body: body.into_bytes() })
    };
    if path == "/keys" {
        return said(200, keys("uri"));
    }
    if path.starts_with("/latest") {
        let Some(role) = role else { return Err(Lost::NotSent("refused".to_owned())) };
        return match path.rsplit('/').next().unwrap() {
            "token" => said(200, "a-token".to_owned()),
            "" => said(200, role.to_owned()),
            name if name == role => said(200, keys(role)),
            _ => said(404, String::new()),
        };
    }
    let role = body.split("%3Arole%2F").nth(1).and_then(|rest| rest.split('&').next()).unwrap();
    said(200, format!(r#"{{"Credentials":{},"RequestId":"R"}}"#, keys(role)))
}

/// Whose key it is: `source | id`.
fn wins(row: &str, set: &Row, want: &str) -> Vec<String> {
    let (got, asked) = set.outcome();
    assert_eq!(got, Ok(want.to_owned()), "{row}");
    asked
}

/// Nobody's: the error holds all of these, a remedy, and no secret.
fn fails(row: &str, set: &Row, want: &[&str]) {
    let (got, _) = set.outcome();
    let Err(text) = got else { panic!("{row}: {got:?}") };
    for part in want.iter().chain(&["help: "]) {
        assert!(text.contains(part), "{row}: nothing says `{part}`: {text}");
    }
    for canary in CANARIES {
        assert!(!text.contains(canary), "{row}: {text}");
    }
}

#[test]
fn the_official_order() {
    let uri = || nothing().var("CREDENTIALS_URI", "http://127.0.0.1:1/keys");
    wins("6", &uri(), "credentials URI | STS.uri");
    let instance = || uri().instance("web");
    wins("5", &instance(), "ECS instance role | STS.web");
    let ini = || instance().ini(INI);
    wins("4", &ini(), "section [default] of ~/.alibabacloud/credentials | LTAIini");
    let cli = || ini().cli(&[AK]);
    wins("3", &cli(), "profile `ak` of ~/.aliyun/config.json (AK) | LTAIcli");
    let oidc = || cli().oidc();
    wins("2", &oidc(), "OIDC role | STS.pod");
    let asked = wins("1", &oidc().key(), "environment | LTAIenv");
    assert_eq!(asked, Vec::<String>::new(), "nobody is asked for a key that is there");
}

#[test]
fn switches() {
    let all =
        || nothing().cli(&[AK]).instance("web").var("CREDENTIALS_URI", "http://127.0.0.1:1/keys");
    let no_cli = || all().var("CLI_PROFILE_DISABLED", "True");
    wins("no CLI", &no_cli(), "ECS instance role | STS.web");
    let no_ecs = no_cli().var("ECS_METADATA_DISABLED", "true");
    wins("no metadata", &no_ecs, "credentials URI | STS.uri");
    let named = nothing().instance("web").var("ECS_METADATA", "web");
    let asked = wins("the role's name is known", &named, "ECS instance role | STS.web");
    assert_eq!(asked.len(), 2, "token and keys: {asked:?}");
    fails(
        "another role",
        &nothing().instance("web").var("ECS_METADATA", "db"),
        &["`db` is not attached"],
    );
}

#[test]
fn nothing_at_all() {
    let want = [
        "there is no AccessKey for [aliyun.main]",
        "environment: ALIBABA_CLOUD_ACCESS_KEY_ID is not set",
        "OIDC role: ALIBABA_CLOUD_OIDC_TOKEN_FILE is not set",
        "CLI profile: there is no ~/.aliyun/config.json",
        "credentials file: there is no ~/.alibabacloud/credentials",
        "ECS instance role: no metadata service answers at 100.100.100.200",
        "credentials URI: ALIBABA_CLOUD_CREDENTIALS_URI is not set",
        "access_key_secret_file",
    ];
    fails("nothing", &nothing(), &want);
    fails("empty is not set", &nothing().var("ACCESS_KEY_ID", ""), &want);
    let gone = nothing().var("ECS_METADATA_DISABLED", "true");
    fails("no metadata", &gone, &["switched off by ALIBABA_CLOUD_ECS_METADATA_DISABLED"]);
}

/// Broken sources are passed over as the official SDKs do, and named where nothing else gives a key.
#[test]
fn broken_sources_are_named() {
    let named = |row: &str, set: Row, want: &[&str]| {
        fails(row, &set, want);
        let (got, _) = set.instance("web").outcome();
        assert_eq!(got, Ok("ECS instance role | STS.web".to_owned()), "{row}: passed over");
    };
    let half = "ACCESS_KEY_ID is set and ALIBABA_CLOUD_ACCESS_KEY_SECRET is not";
    named("half a key", nothing().var("ACCESS_KEY_ID", "x"), &[half]);
    named(
        "the other half",
        nothing().var("ACCESS_KEY_SECRET", "s3cret-of-the-key"),
        &["ACCESS_KEY_ID is not"],
    );
    let file = nothing().var("OIDC_TOKEN_FILE", "HOME/token");
    named("half of OIDC", file, &["ALIBABA_CLOUD_ROLE_ARN and ALIBABA_CLOUD_OIDC_PROVIDER_ARN"]);
    let gone = nothing().oidc().var("OIDC_TOKEN_FILE", "HOME/gone");
    named("no token file", gone, &["there is no OIDC token file ~/gone"]);
    named("an empty token file", nothing().oidc().file("token", " \n"), &["token is empty"]);
    named(
        "no profile",
        nothing().cli(&[AK]).var("PROFILE", "prod"),
        &["no profile `prod`", "its profiles are: ak"],
    );
    named("no section", nothing().ini("[other]\n"), &["no section [default]"]);
    named("no CLI file", nothing().var("CONFIG_FILE", "HOME/x"), &["CONFIG_FILE names"]);
    named("no ini", nothing().var("CREDENTIALS_FILE", "HOME/x"), &["CREDENTIALS_FILE names"]);
    named("no region", nothing().oidc().var("STS_REGION", "x/y"), &["`x/y` is no region"]);
    named(
        "an open URI",
        nothing().var("CREDENTIALS_URI", "http://192.0.2.1/s3cret-of-the-key"),
        &["must be https"],
    );
    let broken = r#"{"current": "ak", "profiles": [{"access_key_secret": s3cret-of-the-key}]}"#;
    named("no JSON", nothing().file(".aliyun/config.json", broken), &["line 1, column"]);
    let number = r#"{"current": "ak", "profiles": [{"expired_seconds": "s3cret-of-the-key"}]}"#;
    named("not its JSON", nothing().file(".aliyun/config.json", number), &["line 1, column"]);
}

#[test]
fn what_is_configured_comes_alone() {
    let prod = |config: &mut Aliyun| config.profile = Some("prod".to_owned());
    let cli = AK.replace("\"ak\"", "\"prod\"");
    let set = nothing().key().cli(&[AK, &cli]).config(prod);
    wins(
        "a profile before the environment",
        &set,
        "profile `prod` of ~/.aliyun/config.json (AK) | LTAIcli",
    );
    let set = nothing().cli(&[AK]).ini(&INI.replace("default", "prod")).config(prod);
    wins("or a section", &set, "section [prod] of ~/.alibabacloud/credentials | LTAIini");
    fails(
        "neither",
        &nothing().key().cli(&[AK]).config(prod),
        &["no profile `prod` for [aliyun.main]", "aliyun configure --profile prod"],
    );
    let keys = |config: &mut Aliyun| {
        config.keys = Some(config::Keys {
            access_key_id: "LTAIconfig".to_owned(),
            access_key_secret_file: Path::new("/nonexistent/secret").to_owned(),
        });
    };
    fails(
        "a secret file that is not there",
        &nothing().key().config(keys),
        &["[aliyun.main]: there is no secret file", "chmod 600"],
    );
}

#[test]
fn a_role_on_top() {
    let role = |config: &mut Aliyun| {
        config.role = Some(config::Role {
            arn: "acs:ram::2:role/top".to_owned(),
            session_name: None,
            external_id: Some("outside".to_owned()),
        });
    };
    let asked = wins(
        "of the environment",
        &nothing().key().config(role),
        "acs:ram::2:role/top by environment | STS.top",
    );
    for part in ["https://sts.aliyuncs.com/ ", "RoleSessionName=certferry", "ExternalId=outside"] {
        assert!(asked[0].contains(part), "{part}: {asked:?}");
    }
    let set = nothing()
        .oidc()
        .config(role)
        .var("ROLE_SESSION_NAME", "me")
        .var("STS_REGION", "cn-hangzhou");
    let asked = wins("of a role", &set, "acs:ram::2:role/top by OIDC role | STS.top");
    assert!(
        asked[1].contains("https://sts.cn-hangzhou.aliyuncs.com/ ")
            && asked[1].contains("RoleSessionName=me"),
        "{asked:?}"
    );
}

/// An outage of one source must not make us somebody else: another key may be of another account.
#[tokio::test(start_paused = true)]
async fn an_outage_is_no_reason_for_another_key() {
    let env = [
        ("ALIBABA_CLOUD_ROLE_ARN", "acs:ram::1:role/x"),
        ("ALIBABA_CLOUD_OIDC_PROVIDER_ARN", "p"),
        ("ALIBABA_CLOUD_OIDC_TOKEN_FILE", "/proc/version"),
        ("ALIBABA_CLOUD_CREDENTIALS_URI", "http://127.0.0.1:1/keys"),
    ];
    let http = Http::scripted(Box::new(|request| match request.url().path() {
        "/keys" => panic!("the next source was asked"),
        _ => Err(Lost::NotSent("refused".to_owned())),
    }));
    let ground = Ground {
        input: crate::ground::Input::nothing(),
        clock: Clock::new(|| "2026-01-02T03:04:05Z".parse().unwrap()),
        env: Env::from_iter(env),
        stop: tokio_util::sync::CancellationToken::new(),
        say: Say::nothing(),
        ask: crate::ground::Ask::nobody(),
        width: 80,
    };
    let account =
        Account::open("main", &Aliyun::default(), None, http, &ground, Vec::new()).unwrap();
    let error = account.found().await.unwrap_err();
    assert!(error.kind == crate::aliyun::Kind::Transport && error.retryable(), "{error}");
}

/// The key of the environment with its token; the token belongs to it alone.
#[tokio::test]
async fn tokens() {
    let check = async |row: &str, token: &str, want: Option<&str>| {
        let env = nothing().key().var("SECURITY_TOKEN", token).env;
        let (account, _) = account(Env::from_iter(env), &Aliyun::default(), None);
        let key = account.inner.keyring.opened(&account).await.unwrap().credentials;
        assert_eq!(key.token.as_ref().map(ExposeSecret::expose_secret), want, "{row}");
        assert!(!format!("{key:?}").contains("s3cret"), "{row}");
    };
    check("none", "", None).await;
    check("one", "t", Some("t")).await;
}
