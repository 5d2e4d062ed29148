//! Where the keys of an account come from, and whose they are.

use crate::aliyun::Account;
use crate::doctor::{Check, State};
use crate::run::Run;
use crate::secret;

/// Whether an account has keys, and from where.
pub(super) async fn found(run: &Run, account: &Account) -> Vec<Check> {
    vec![of_settings(run, account)]
}

fn of_settings(run: &Run, account: &Account) -> Check {
    let name = account.name();
    let keys = run.config.aliyun.get(name).and_then(|account| account.keys.as_ref());
    let Some(keys) = keys else {
        return match run.ground.env.var(ID) {
            Some(id) => Check::good("credentials", name, format!("{id} of the environment")),
            None => Check::new("credentials", name, State::Bad, "there is no AccessKey")
                .or_help(format!("write access_key_id into [aliyun.{name}], or set {ID}")),
        };
    };
    match secret::read(&keys.access_key_secret_file, &run.ground.env, run.base()) {
        Ok(_secret) => {
            Check::good("credentials", name, format!("{} of the configuration", keys.access_key_id))
        }
        Err(error) => Check::bad("credentials", name, &error),
    }
}

/// Whose they are; none: it was not asked.
pub(super) async fn identity(_account: &Account) -> Option<Check> {
    None
}

const ID: &str = "ALIBABA_CLOUD_ACCESS_KEY_ID";
