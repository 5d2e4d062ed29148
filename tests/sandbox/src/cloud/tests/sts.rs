//! Temporary keys: how they are refused, what they may do, and how they end.

use serde_json::json;

use super::*;

const ROLE: &str = "acs:ram::1234567890123456:role/ferry";
const PROVIDER: &str = "acs:ram::1234567890123456:oidc-provider/ack";

fn ferry() -> Role {
    Role::new("ferry").trust(PROVIDER)
}

fn with(role: Role) -> Cloud {
    Cloud::start(seed().role(role).oidc(Oidc::new("ack").token("a.b.c")))
}

fn sts(action: &str, params: &[(&str, &str)]) -> Ask {
    Ask::new("2015-04-01", action, params)
}

fn assume() -> Ask {
    sts("AssumeRole", &[("RoleArn", ROLE), ("RoleSessionName", "test")])
}

/// As the API page has it: no key, no signature.
fn oidc() -> Ask {
    let ask = sts(
        "AssumeRoleWithOIDC",
        &[
            ("RoleArn", ROLE),
            ("RoleSessionName", "test"),
            ("OIDCProviderArn", PROVIDER),
            ("OIDCToken", "a.b.c"),
        ],
    );
    let unsigned = ["AccessKeyId", "SignatureMethod", "SignatureVersion"];
    unsigned.into_iter().fold(Ask { secret: "", ..ask }, Ask::without)
}

fn who() -> Ask {
    sts("GetCallerIdentity", &[])
}

/// The call by another key, as an answer's `Credentials` has it.
fn by(ask: Ask, credentials: &Value) -> Ask {
    let text = |name: &str| credentials[name].as_str().unwrap().to_owned();
    let ask = ask.set("AccessKeyId", &text("AccessKeyId"));
    Ask {
        secret: text("AccessKeySecret").leak(),
        ..ask.set("SecurityToken", &text("SecurityToken"))
    }
}

async fn keys(cloud: &Cloud, ask: Ask) -> Value {
    ask.ok(cloud).await["Credentials"].clone()
}

async fn check(name: &str, spoil: impl FnOnce(&Cloud), ask: Ask, status: u16, code: &str) {
    let cloud = with(ferry());
    spoil(&cloud);
    assert_eq!(ask.refused(&cloud).await, (status, code.to_owned()), "{name}");
    let call = cloud.all_calls().pop().unwrap();
    assert_eq!(call.ending, Ending::Refused(code.to_owned()), "{name}");
    assert!(cloud.temporary_keys().is_empty(), "{name}: a refused call has no effect");
}

fn well(_: &Cloud) {}

#[tokio::test]
#[rustfmt::skip]
async fn a_role_is_refused() {
    let role = |change: fn(Role) -> Role| move |c: &Cloud| c.add_role(change(ferry()));
    check("no role", well, assume().without("RoleArn"), 400, "MissingRoleArn").await;
    check("no ARN", well, assume().set("RoleArn", "ferry"), 400, "InvalidParameter.RoleArn").await;
    check("unknown role", well, assume().set("RoleArn", "acs:ram::1:role/x"), 404, "EntityNotExist.Role").await;
    check("a user", well, assume().set("RoleArn", "acs:ram::1234567890123456:user/ferry"), 404, "EntityNotExist.Role").await;
    check("deleted", |c| c.remove_role(ROLE), assume(), 404, "EntityNotExist.Role").await;
    check("no session name", well, assume().without("RoleSessionName"), 400, "MissingRoleSessionName").await;
    check("session name of one", well, assume().set("RoleSessionName", "a"), 400, "InvalidParameter.RoleSessionName").await;
    check("session name of 65", well, assume().set("RoleSessionName", &"a".repeat(65)), 400, "InvalidParameter.RoleSessionName").await;
    check("a colon in it", well, assume().set("RoleSessionName", "a:b"), 400, "InvalidParameter.RoleSessionName").await;
    check("too short", well, assume().set("DurationSeconds", "899"), 400, "InvalidParameter.DurationSeconds").await;
    check("too long", well, assume().set("DurationSeconds", "3601"), 400, "InvalidParameter.DurationSeconds").await;
    check("no number", well, assume().set("DurationSeconds", "1h"), 400, "InvalidParameter.DurationSeconds").await;
    check("no JSON", well, assume().set("Policy", "{"), 400, "InvalidParameter.PolicyGrammar").await;
    check("no policy", well, assume().set("Policy", "{\"Version\":\"1\"}"), 400, "InvalidParameter.PolicyGrammar").await;
    check("no effect", well, assume().set("Policy", "{\"Version\":\"1\",\"Statement\":[{\"Action\":\"*\",\"Resource\":\"*\"}]}"), 400, "InvalidParameter.PolicyGrammar").await;
    check("1,025 bytes", well, assume().set("Policy", &" ".repeat(1025)), 400, "InvalidParameter.PolicySize").await;
    check("unknown parameter", well, assume().set("Duration", "900"), 400, "InvalidParameter").await;
    check("root", |c| c.account(KEY, |a| a.identity = Identity::Root), assume(), 403, "NoPermission").await;
    check("trusts nobody", role(Role::trust_nobody), assume(), 403, "NoPermission").await;
    check("trusts another", role(|r| r.trust_nobody().trust("acs:ram::1234567890123456:user/other")), assume(), 403, "NoPermission").await;
    check("another account", |c| c.account(KEY, |a| a.uid = "2".into()), assume(), 403, "NoPermission").await;
    check("no ExternalId", role(|r| r.external_id("id-1")), assume(), 403, "NoPermission").await;
    check("another ExternalId", role(|r| r.external_id("id-1")), assume().set("ExternalId", "id-2"), 403, "NoPermission").await;
    check("denied", |c| c.account(KEY, |a| *a = a.clone().deny("sts:AssumeRole", ROLE)), assume(), 403, "NoPermission").await;
    check("allowed nothing", |c| c.account(KEY, |a| a.policy = Some(json!({}))), assume(), 403, "NoPermission").await;
    check("wrong secret", well, Ask { secret: "other", ..assume() }, 400, "SignatureDoesNotMatch").await;
    check("not signed", well, Ask { secret: "", ..assume() }, 400, "MissingSignature").await;
    check("no limit left", |c| c.rules(|r| r.limits.extend([("AssumeRole".into(), 0)])), assume(), 400, "Throttling.User").await;
    check("the CDN's version", well, assume().set("Version", "2018-05-10"), 404, "InvalidApi.NotFound").await;
    check("denied who", |c| c.account(KEY, |a| *a = a.clone().deny("sts:*", "*")), who(), 403, "NoPermission").await;
}

#[tokio::test]
#[rustfmt::skip]
async fn an_oidc_token_is_refused() {
    let rotated = |c: &Cloud| c.oidc(PROVIDER, |o| o.rotate("d.e.f"));
    check("no provider", well, oidc().without("OIDCProviderArn"), 400, "MissingOIDCProviderArn").await;
    check("unknown provider", well, oidc().set("OIDCProviderArn", "acs:ram::1:oidc-provider/x"), 401, "AuthenticationFail.NoPermission").await;
    check("no token", well, oidc().without("OIDCToken"), 401, "AuthenticationFail.OIDCToken.Invalid").await;
    check("no JWT", well, oidc().set("OIDCToken", "abc"), 401, "AuthenticationFail.OIDCToken.Invalid").await;
    check("a line end", well, oidc().set("OIDCToken", "a.b.c\n"), 401, "AuthenticationFail.OIDCToken.InvalidSignature").await;
    check("too long", well, oidc().set("OIDCToken", &format!("a.b.{}", "c".repeat(20_000))), 401, "AuthenticationFail.OIDCToken.Invalid").await;
    check("another's token", well, oidc().set("OIDCToken", "d.e.f"), 401, "AuthenticationFail.OIDCToken.InvalidSignature").await;
    check("an old token", rotated, oidc(), 401, "AuthenticationFail.OIDCToken.Expired").await;
    check("unknown role", well, oidc().set("RoleArn", "acs:ram::1:role/x"), 404, "EntityNotExist.Role").await;
    check("no trust", |c| c.add_role(Role::new("ferry")), oidc(), 401, "AuthenticationFail.NoPermission").await;
    check("too long a session", well, oidc().set("DurationSeconds", "43200"), 400, "InvalidParameter.DurationSeconds").await;
    check("unknown parameter", well, oidc().set("ExternalId", "x"), 400, "InvalidParameter").await;
    check("too old", well, oidc().set("Timestamp", "2020-01-02T03:04:05Z"), 400, "InvalidTimeStamp.Expired").await;
    check("no such format", well, oidc().set("Format", "YAML"), 400, "InvalidFormat").await;
}

#[tokio::test]
async fn a_temporary_key_does_what_its_role_may() {
    for ask in [assume, oidc] {
        let cloud = with(ferry().deny("cdn:SetDomainServerCertificate", "*"));
        let keys = keys(&cloud, ask().set("DurationSeconds", "900")).await;
        assert!(keys["AccessKeyId"].as_str().unwrap().starts_with("STS."));
        by(Ask::read_back(DOMAIN), &keys).ok(&cloud).await;
        let denied = by(Ask::upload(), &keys).refused(&cloud).await;
        assert_eq!(denied, (403, "Forbidden.RAM".to_owned()));
        cloud.add_role(ferry());
        by(Ask::upload(), &keys).ok(&cloud).await;
        cloud.remove_role(ROLE);
        let gone = by(Ask::read_back(DOMAIN), &keys).refused(&cloud).await;
        assert_eq!(gone, (403, "Forbidden.RAM".to_owned()));
    }
}

#[tokio::test]
async fn a_sessions_policy_narrows_its_role() {
    let cloud = with(ferry());
    let policy = json!({ "Version": "1", "Statement": [
        { "Effect": "Allow", "Action": "cdn:Describe*", "Resource": "*" } ] });
    let keys = keys(&cloud, assume().set("Policy", &policy.to_string())).await;
    by(Ask::read_back(DOMAIN), &keys).ok(&cloud).await;
    assert_eq!(by(Ask::upload(), &keys).refused(&cloud).await.1, "Forbidden.RAM");
    by(who(), &keys).ok(&cloud).await;
}

#[tokio::test]
async fn a_temporary_key_ends_by_the_clouds_clock() {
    let cloud = with(ferry());
    let keys = keys(&cloud, assume().set("DurationSeconds", "900")).await;
    let end: Timestamp = keys["Expiration"].as_str().unwrap().parse().unwrap();
    let left = end.duration_since(cloud.now()).as_secs();
    assert!((890..=900).contains(&left), "{left}");
    let after = |cloud: &Cloud, seconds| {
        cloud.rules(|rules| rules.clock_ahead = SignedDuration::from_secs(seconds));
        by(Ask::read_back(DOMAIN), &keys).set("Timestamp", &instant(cloud.now()))
    };
    after(&cloud, 880).ok(&cloud).await;
    let old = after(&cloud, 901).refused(&cloud).await;
    assert_eq!(old, (400, "InvalidSecurityToken.Expired".to_owned()));
}

#[tokio::test]
async fn a_role_may_lie_about_the_end() {
    let cloud = with(Role { lives: Some(SignedDuration::ZERO), ..ferry() });
    let keys = keys(&cloud, assume()).await;
    let old = by(Ask::read_back(DOMAIN), &keys).refused(&cloud).await;
    assert_eq!(old, (400, "InvalidSecurityToken.Expired".to_owned()));
}

#[tokio::test]
async fn a_token_belongs_to_its_key() {
    let cloud = with(ferry());
    let (first, second) = (keys(&cloud, assume()).await, keys(&cloud, oidc()).await);
    let mixed = by(Ask::read_back(DOMAIN), &first)
        .set("SecurityToken", second["SecurityToken"].as_str().unwrap());
    let code = mixed.refused(&cloud).await.1;
    assert_eq!(code, "InvalidSecurityToken.MismatchWithAccessKey");
    let cut = &first["SecurityToken"].as_str().unwrap()[..20];
    let code = by(Ask::read_back(DOMAIN), &first).set("SecurityToken", cut).refused(&cloud).await.1;
    assert_eq!(code, "InvalidSecurityToken.Malformed");
    let code = by(Ask::read_back(DOMAIN), &first).without("SecurityToken").refused(&cloud).await.1;
    assert_eq!(code, "MissingSecurityToken");
    assert_eq!(cloud.temporary_keys().len(), 2);
    cloud.expire_temporary_keys();
    let code = by(Ask::read_back(DOMAIN), &first).refused(&cloud).await.1;
    assert_eq!(code, "InvalidSecurityToken.Expired");
}

#[tokio::test]
async fn a_role_leads_to_another_for_an_hour() {
    let cloud = with(ferry());
    let second = Role { most_seconds: 43_200, ..Role::new("second") }.trust_nobody().trust(ROLE);
    let arn = second.arn();
    cloud.add_role(second);
    let ask = || assume().set("RoleArn", &arn);
    assert_eq!(ask().refused(&cloud).await.1, "NoPermission");
    let first = keys(&cloud, assume()).await;
    let long = by(ask(), &first).set("DurationSeconds", "3601").refused(&cloud).await;
    assert_eq!(long.1, "InvalidParameter.DurationSeconds");
    let chained = keys(&cloud, by(ask(), &first)).await;
    assert_eq!(by(who(), &chained).ok(&cloud).await["IdentityType"], "AssumedRoleUser");
}

#[tokio::test]
async fn who_one_is() {
    let cloud = with(ferry().external_id("id-1"));
    cloud.add_account(Account::new("root", SECRET).root());
    let check = async |name: &str, ask: Ask, kind: &str, arn: &str| {
        let answer = ask.ok(&cloud).await;
        assert_eq!(
            (&answer["IdentityType"], &answer["Arn"]),
            (&json!(kind), &json!(arn)),
            "{name}"
        );
        assert_eq!(answer["AccountId"], DEFAULT_UID, "{name}");
    };
    let ours = format!("acs:ram::{DEFAULT_UID}");
    check("a user", who(), "RAMUser", &format!("{ours}:user/sandbox")).await;
    check("root", who().set("AccessKeyId", "root"), "Account", &format!("{ours}:root")).await;
    let keys = keys(&cloud, assume().set("ExternalId", "id-1")).await;
    let arn = format!("{ours}:assumed-role/ferry/test");
    check("a session", by(who(), &keys), "AssumedRoleUser", &arn).await;
    cloud.account(KEY, |account| account.policy = Some(json!({})));
    check("allowed nothing", who(), "RAMUser", &format!("{ours}:user/sandbox")).await;
}

#[tokio::test]
async fn faults_strike_at_a_role() {
    let cloud = with(ferry());
    cloud.fault(Fault::at("AssumeRole").on("another").always());
    cloud.fault(Fault::at("AssumeRole").on(ROLE).after().code("ServiceUnavailable"));
    cloud.fault(
        Fault::at("AssumeRoleWithOIDC").code("AuthenticationFail.OIDCToken.AudienceNotMatch"),
    );
    assert_eq!(assume().refused(&cloud).await.0, 503);
    assert_eq!(oidc().refused(&cloud).await.0, 401);
    assert_eq!(cloud.temporary_keys().len(), 1, "the first had its effect");
    assert_eq!(cloud.calls("AssumeRoleWithOIDC")[0].param("OIDCToken"), "a.b.c");
}
