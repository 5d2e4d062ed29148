//! Keys that end in the middle of a run, tokens that are rotated, and who we are with them.

use std::time::Duration;

use certferry_sandbox::cloud::{Cloud, DEFAULT_UID, Fault, Lag, Oidc, Role};
use certferry_sandbox::metadata::{Metadata, Rules};
use jiff::SignedDuration;

use super::{Home, role_on_top, roles};
use crate::house::{Ended, House, KEY_ID};

#[test]
fn a_key_that_ends_is_renewed() {
    let mut home = Home::new();
    role_on_top(&mut home, "top");
    home.house.cloud.fault(
        Fault::at("SetDomainServerCertificate").before().code("InvalidSecurityToken.Expired"),
    );
    let ended = home.run("renew");
    let tally = home.house.cloud.tally();
    assert_eq!(
        (ended.code, tally["AssumeRole"], home.house.uploads()),
        (0, 2, 2),
        "{}",
        ended.all()
    );
    let keys = home.house.cloud.calls("SetDomainServerCertificate");
    assert_ne!(keys[0].param("AccessKeyId"), keys[1].param("AccessKeyId"));

    // Its keys live a second, the read-back shows the upload after three.
    let mut home = Home::new();
    role_on_top(&mut home, "top");
    let short = Role { lives: Some(SignedDuration::from_secs(1)), ..Role::new("top") };
    home.house.cloud.add_role(short);
    home.house.cloud.rules(|rules| rules.lag = Lag::For(Duration::from_secs(3)));
    let ended = home.run("renew");
    assert_eq!((ended.code, home.house.uploads()), (0, 1), "{}", ended.all());
    assert!(home.house.cloud.tally()["AssumeRole"] > 1, "{}", ended.all());
}

/// Whoever mounts the token renews it; a long run reads it again when its keys end.
#[test]
fn a_token_file_that_is_rotated() {
    let mut home = Home::new();
    home.oidc("canary-oidc-token-1");
    home.house.cloud.rules(|rules| rules.lag = Lag::For(Duration::from_secs(3)));
    let child = home
        .house
        .command("renew")
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn();
    let child = child.unwrap();
    let begun = std::time::Instant::now();
    while home.house.uploads() == 0 {
        assert!(begun.elapsed() < Duration::from_secs(50), "no upload");
        std::thread::sleep(Duration::from_millis(10));
    }
    home.house.cloud.oidc(&Oidc::new("k8s").arn, |oidc| oidc.rotate("canary-oidc-token-2"));
    home.house.write("token", "canary-oidc-token-2");
    home.house.cloud.expire_temporary_keys();
    let ended = Ended::of(&child.wait_with_output().unwrap());
    assert_eq!(ended.code, 0, "{}", ended.all());
    let tokens = home.house.cloud.calls("AssumeRoleWithOIDC");
    let tokens: Vec<_> = tokens.iter().map(|call| call.param("OIDCToken")).collect();
    assert_eq!(tokens, ["canary-oidc-token-1", "canary-oidc-token-2"], "{}", ended.all());

    home.house.write("token", "canary-oidc-token-1");
    let ended = home.run("renew");
    assert_eq!(ended.code, 1, "{}", ended.all());
    assert!(
        ended.stderr.contains("has expired") && ended.stderr.contains("OIDC_TOKEN_FILE"),
        "{}",
        ended.all()
    );
}

/// For `doctor`: who we are, and whose key it is.
#[test]
fn who_we_are() {
    let house = House::with(roles);
    let metadata = Metadata::start(&house.cloud, Rules::of_role("web"));
    let config = certferry::config::Aliyun {
        sts_endpoint: Some(house.cloud.url()),
        metadata_endpoint: metadata.url(),
        ..certferry::config::Aliyun::default()
    };
    let identity = |role: Option<&str>, cloud: &Cloud| {
        let role = role.map(|name| certferry::config::Role {
            arn: Role::new(name).arn(),
            session_name: Some("me".to_owned()),
            external_id: None,
        });
        let config = certferry::config::Aliyun { role, ..config.clone() };
        let half = [("ALIBABA_CLOUD_ACCESS_KEY_ID", KEY_ID)];
        let ground = certferry::ground::Ground {
            input: certferry::ground::Input::nothing(),
            clock: certferry::ground::Clock::new(jiff::Timestamp::now),
            env: certferry::ground::Env::from_iter(half),
            stop: tokio_util::sync::CancellationToken::new(),
            say: certferry::ground::Say::nothing(),
            ask: certferry::ground::Ask::nobody(),
            width: 80,
        };
        let http = certferry::http::Http::new();
        let account =
            certferry::aliyun::Account::open("main", &config, None, http, &ground, Vec::new());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let account = account.unwrap();
            let identity = account.caller_identity().await.unwrap();
            assert_eq!(identity.account_id, DEFAULT_UID, "{:?}", cloud.tally());
            let found = account.found().await.unwrap();
            assert_eq!(found.passed_over.len(), 4, "{found:?}");
            assert!(found.passed_over[0].why.contains("ACCESS_KEY_SECRET is not"), "{found:?}");
            (identity.arn, found.source)
        })
    };
    let (arn, source) = identity(None, &house.cloud);
    assert!(arn.contains(":assumed-role/web/") && source == "ECS instance role", "{arn} {source}");
    let (arn, source) = identity(Some("top"), &house.cloud);
    assert!(arn.ends_with(":assumed-role/top/me"), "{arn}");
    assert_eq!(source, format!("{} by ECS instance role", Role::new("top").arn()));
}
