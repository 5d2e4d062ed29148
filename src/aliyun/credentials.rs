//! Where an account's AccessKey comes from: the configuration, else the environment.

use std::path::Path;

use secrecy::SecretString;

use super::error::{Error, Kind};
use crate::config::Keys;
use crate::ground::Env;
use crate::secret;

/// An AccessKey. `secrecy` zeroes and hides what is secret of it.
#[derive(Clone, Debug)]
pub(super) struct Credentials {
    /// AccessKey ID; not a secret.
    pub(super) id: String,
    /// AccessKey secret.
    pub(super) secret: SecretString,
    /// SecurityToken of a key that STS gave.
    pub(super) token: Option<SecretString>,
}

/// The AccessKey of the account `name`.
///
/// # Errors
/// [`Kind::Credentials`], with both ways to give one.
pub(super) fn find(
    name: &str,
    keys: Option<&Keys>,
    env: &Env,
    base: Option<&Path>,
) -> Result<Credentials, Error> {
    match keys {
        Some(keys) => of_config(name, keys, env, base),
        None => of_environment(name, env),
    }
}

fn of_config(
    name: &str,
    keys: &Keys,
    env: &Env,
    base: Option<&Path>,
) -> Result<Credentials, Error> {
    let secret = secret::read(&keys.access_key_secret_file, env, base).map_err(|error| {
        let text = format!("{error:#}");
        let (what, help) =
            text.split_once("\nhelp: ").unwrap_or((&text, "see that the file is there and ours"));
        Error::new(
            Kind::Credentials,
            "AccessKeySecretFile",
            &format!("[aliyun.{name}]: {what}"),
            help,
        )
    })?;
    Ok(Credentials { id: keys.access_key_id.clone(), secret, token: None })
}

/// The variables of the official SDKs. Half a key is a mistake to be named, not 'none'.
fn of_environment(name: &str, env: &Env) -> Result<Credentials, Error> {
    let missing = match (env.var(ID), env.var(SECRET)) {
        (Some(id), Some(secret)) => {
            let token = env.var(TOKEN).map(SecretString::from);
            return Ok(Credentials {
                id: id.to_owned(),
                secret: SecretString::from(secret),
                token,
            });
        }
        (Some(_), None) => format!("{ID} is set and {SECRET} is not"),
        (None, Some(_)) => format!("{SECRET} is set and {ID} is not"),
        (None, None) => format!("there is no AccessKey for [aliyun.{name}]"),
    };
    let help = format!(
        "write access_key_id and access_key_secret_file into [aliyun.{name}], or set {ID} and {SECRET} in the environment"
    );
    Err(Error::new(Kind::Credentials, "NoCredentials", &missing, &help))
}

const ID: &str = "ALIBABA_CLOUD_ACCESS_KEY_ID";
const SECRET: &str = "ALIBABA_CLOUD_ACCESS_KEY_SECRET";
const TOKEN: &str = "ALIBABA_CLOUD_SECURITY_TOKEN";

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    /// What an environment gives: `id secret token`, or an error whose text holds `want`.
    fn check(row: &str, env: &[(&str, &str)], want: Result<&str, &str>) {
        let got = find("main", None, &Env::from_iter(env.iter().copied()), None);
        match (got, want) {
            (Ok(key), Ok(want)) => {
                let token = key.token.as_ref().map_or("", ExposeSecret::expose_secret);
                assert_eq!(
                    format!("{} {} {token}", key.id, key.secret.expose_secret()),
                    want,
                    "{row}"
                );
                assert!(!format!("{key:?}").contains("s3"), "{row}");
            }
            (Err(error), Err(want)) => {
                assert_eq!(error.kind, Kind::Credentials, "{row}");
                let text = error.to_string();
                assert!(text.contains(want) && !text.contains("s3"), "{row}: {text}");
                assert!(
                    error.help.contains(ID) && error.help.contains("access_key_secret_file"),
                    "{row}"
                );
            }
            (got, want) => panic!("{row}: {got:?}, wanted {want:?}"),
        }
    }

    #[test]
    fn environment() {
        check("a key", &[(ID, "id"), (SECRET, "s3")], Ok("id s3 "));
        check("with a token", &[(ID, "STS.id"), (SECRET, "s3"), (TOKEN, "t")], Ok("STS.id s3 t"));
        check("an empty token", &[(ID, "id"), (SECRET, "s3"), (TOKEN, "")], Ok("id s3 "));
        check("none", &[], Err("no AccessKey for [aliyun.main]"));
        check("empty is not set", &[(ID, ""), (SECRET, "")], Err("no AccessKey"));
        check("no secret", &[(ID, "id")], Err("ACCESS_KEY_SECRET is not"));
        check("no id", &[(SECRET, "s3")], Err("ACCESS_KEY_ID is not"));
        check("a token alone", &[(TOKEN, "t")], Err("no AccessKey"));
    }

    #[test]
    fn config() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let env = Env::from_iter([(ID, "other"), (SECRET, "other"), (TOKEN, "other")]);
        let keys = Keys { access_key_id: "id".into(), access_key_secret_file: "secret".into() };
        let error = find("main", Some(&keys), &env, Some(folder.path())).unwrap_err();
        assert_eq!(error.kind, Kind::Credentials);
        assert!(
            error.message.contains("[aliyun.main]") && error.help.contains("chmod 600"),
            "{error}"
        );

        let path = folder.path().join("secret");
        std::fs::write(&path, "of the file\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let key = find("main", Some(&keys), &env, Some(folder.path())).unwrap();
        assert_eq!((key.id.as_str(), key.secret.expose_secret()), ("id", "of the file"));
        assert!(key.token.is_none(), "the token belongs to the environment's key");
    }
}
