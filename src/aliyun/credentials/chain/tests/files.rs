//! The modes of the CLI's profiles, the types of an ini file's sections, and files that others may read.

use super::*;

#[test]
fn modes_of_the_cli() {
    let check = |row: &str, profiles: &[&str], want: &str| {
        wins(row, &nothing().cli(profiles).instance("web"), want)
    };
    let of = |name: &str, mode: &str, id: &str| {
        format!("profile `{name}` of ~/.aliyun/config.json ({mode}) | {id}")
    };
    let keys = r#""access_key_id": "LTAIcli", "access_key_secret": "s3cret-of-the-key""#;
    let sts =
        format!(r#"{{"name": "a", "mode": "ststoken", "sts_token": "t0ken-of-the-key", {keys}}}"#);
    check("a token, in any case", &[&sts], &of("a", "ststoken", "LTAIcli"));
    let role = format!(
        r#"{{"name": "a", "mode": "RamRoleArn", "ram_role_arn": "acs:ram::1:role/x", "ram_session_name": "me", "expired_seconds": 900,
            "external_id": "ext", "policy": "{{}}", "sts_region": "cn-beijing", "enable_vpc": true, {keys}}}"#
    );
    let asked = check("a role", &[&role], &of("a", "RamRoleArn", "STS.x"));
    for part in [
        "https://sts-vpc.cn-beijing.aliyuncs.com/ ",
        "Action=AssumeRole&",
        "RoleSessionName=me",
        "DurationSeconds=900",
        "ExternalId=ext",
        "Policy=%7B%7D",
        "AccessKeyId=LTAIcli",
        "Signature=",
    ] {
        assert!(asked[0].contains(part), "{part}: {asked:?}");
    }
    let chain = r#"{"name": "c", "mode": "ChainableRamRoleArn", "ram_role_arn": "acs:ram::1:role/y", "source_profile": "a"}"#;
    let asked = check("a chain", &[chain, &role], &of("c", "ChainableRamRoleArn", "STS.y"));
    assert!(asked.len() == 2 && asked[1].contains("AccessKeyId=STS.x"), "{asked:?}");
    check(
        "the instance",
        &[r#"{"name": "e", "mode": "EcsRamRole", "ram_role_name": "web"}"#],
        &of("e", "EcsRamRole", "STS.web"),
    );
    check(
        "a URI",
        &[
            r#"{"name": "u", "mode": "CredentialsURI", "credentials_uri": "http://localhost:1/keys"}"#,
        ],
        &of("u", "CredentialsURI", "STS.uri"),
    );
    let external = r#"{"name": "x", "mode": "External", "process_command": "sh -c 'echo \"$0\"' '{\"mode\": \"AK\", \"access_key_id\": \"LTAIrun\", \"access_key_secret\": \"s3cret-of-the-key\"}'"}"#;
    check("a program", &[external], &of("x", "External", "LTAIrun"));
    let oidc = r#"{"name": "o", "mode": "OIDC", "ram_role_arn": "acs:ram::1:role/z", "oidc_provider_arn": "acs:ram::1:oidc-provider/k", "oidc_token_file": "HOME/token"}"#;
    let asked = wins(
        "OIDC",
        &nothing().cli(&[oidc]).file("token", "oidc.t0ken"),
        &of("o", "OIDC", "STS.z"),
    );
    assert!(
        asked[0].contains("OIDCToken=oidc.t0ken") && !asked[0].contains("Signature="),
        "{asked:?}"
    );
}

#[test]
fn profiles_that_do_not_work() {
    let check =
        |row: &str, profiles: &[&str], want: &[&str]| fails(row, &nothing().cli(profiles), want);
    for mode in [
        "CloudSSO",
        "OAuth",
        "RsaKeyPair",
        "BearerToken",
        "Anonymous",
        "RamRoleArnWithRoleName",
        "",
    ] {
        let profile =
            format!(r#"{{"name": "a", "mode": "{mode}", "access_token": "t0ken-of-the-key"}}"#);
        check(mode, &[&profile], &[&format!("has the mode `{mode}`"), "ChainableRamRoleArn"]);
    }
    check(
        "half a key",
        &[r#"{"name": "a", "mode": "AK", "access_key_id": "x"}"#],
        &["access_key_secret of profile `a`", "aliyun configure --profile a"],
    );
    check(
        "no role",
        &[r#"{"name": "a", "mode": "OIDC", "oidc_provider_arn": "x", "oidc_token_file": "y"}"#],
        &["ram_role_arn of profile"],
    );
    let chain = |name: &str, next: &str| {
        format!(
            r#"{{"name": "{name}", "mode": "ChainableRamRoleArn", "ram_role_arn": "acs:ram::1:role/y", "source_profile": "{next}"}}"#
        )
    };
    check("a circle", &[&chain("a", "b"), &chain("b", "a")], &["in a circle: a -> b -> a"]);
    check("a circle of one", &[&chain("a", "a")], &["in a circle: a -> a"]);
    check("a chain to nowhere", &[&chain("a", "b")], &["names `b`, which is not there"]);
    let runs = |command: &str| {
        format!(
            r#"{{"name": "a", "mode": "External", "process_command": {}}}"#,
            serde_json::json!(command)
        )
    };
    check("an open quote", &[&runs("sh -c 'x")], &["is no command line"]);
    check("no program", &[&runs("/nonexistent/x")], &["cannot be run"]);
    check("it fails", &[&runs("sh -c 'echo no luck >&2; exit 3'")], &["exit status: 3", "no luck"]);
    check("it prints no JSON", &[&runs("echo s3cret-of-the-key")], &["is no such JSON (line 1"]);
    check(
        "it prints half a key",
        &[&runs(
            r#"echo '{"mode": "StsToken", "access_key_id": "x", "access_key_secret": "s3cret-of-the-key"}'"#,
        )],
        &["no whole AccessKey"],
    );
    check(
        "it prints another mode",
        &[&runs(r#"echo '{"mode": "RamRoleArn"}'"#)],
        &["the mode `RamRoleArn`"],
    );
    check(
        "it prints a strange time",
        &[&runs(
            r#"echo '{"mode": "AK", "access_key_id": "x", "access_key_secret": "y", "expiration": "soon"}'"#,
        )],
        &["no time"],
    );
}

#[test]
fn sections_of_the_ini_file() {
    let of = |id: &str| format!("section [default] of ~/.alibabacloud/credentials | {id}");
    let check = |row: &str, text: &str, want: &str| {
        wins(row, &nothing().ini(text).instance("web").file("token", "oidc.t0ken"), want)
    };
    check(
        "remarks and quotes",
        "# x\n[other]\ntype=sts\n[ default ]\n; y\ntype = access_key\naccess_key_id=\"LTAIini\"\naccess_key_secret = a=b ; z\n",
        &of("LTAIini"),
    );
    check(
        "a token",
        "[default]\ntype=sts\naccess_key_id=STS.i\naccess_key_secret=s\nsecurity_token=t\n",
        &of("STS.i"),
    );
    check(
        "a role",
        "[default]\ntype=ram_role_arn\naccess_key_id=i\naccess_key_secret=s\nrole_arn=acs:ram::1:role/x\n",
        &of("STS.x"),
    );
    check("the instance", "[default]\ntype=ecs_ram_role\nrole_name=web\n", &of("STS.web"));
    check(
        "OIDC",
        "[default]\ntype=oidc_role_arn\nrole_arn=acs:ram::1:role/x\noidc_provider_arn=p\noidc_token_file_path=HOME/token\n",
        &of("STS.x"),
    );
    check("not enabled", "[default]\nenable = false\n", "ECS instance role | STS.web");
    let ini = nothing().file(".alibabacloud/credentials.ini", INI);
    wins(
        "the name of Python",
        &ini,
        "section [default] of ~/.alibabacloud/credentials.ini | LTAIini",
    );
    let named = nothing()
        .file("x", &INI.replace("default", "prod"))
        .var("CREDENTIALS_FILE", "HOME/x")
        .var("PROFILE", "prod");
    wins("by its name", &named, "section [prod] of ~/x | LTAIini");
    let fails = |row: &str, text: &str, want: &str| fails(row, &nothing().ini(text), &[want]);
    fails("no type", "[default]\naccess_key_id=i\n", "has no type");
    fails("another type", "[default]\ntype=rsa_key_pair\n", "the type `rsa_key_pair`");
    fails(
        "half a key",
        "[default]\ntype=access_key\naccess_key_id=i\n",
        "has no access_key_secret",
    );
}

#[test]
fn a_file_that_others_may_read() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("config.json");
    let of_env = [("ALIBABA_CLOUD_CONFIG_FILE", path.to_str().unwrap()), ("HOME", "/nonexistent")];
    let check = |mode: u32, want: bool| {
        let text = format!(r#"{{"current": "ak", "profiles": [{AK}]}}"#);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let (account, _) = account(Env::from_iter(of_env), &Aliyun::default(), None);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let found = runtime.block_on(account.found());
        assert_eq!(found.is_ok(), want, "{mode:o}: {found:?}");
    };
    check(0o600, true);
    check(0o640, true);
    check(0o644, false);
    check(0o602, false);
}
