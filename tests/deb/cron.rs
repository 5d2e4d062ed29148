//! The package on a Debian that systemd does not run: installed in a bare container, run by cron's line.

use super::machine::{package, without_systemd};
use super::town::{CERTBOT, CONFIGURE, HOOK, Town};

/// The line's command, without its sleep of up to an hour; what it says is what cron would mail.
const CRON: &str = r#"
cron() {
  line=$(grep -v '^#' /etc/cron.d/certferry | grep root | sed 's/^.* root //; s/rand(3000)/rand(1)/')
  env -i SHELL=/bin/sh "$(grep '^PATH=' /etc/cron.d/certferry)" /bin/sh -c "$line" >/tmp/mail 2>&1
  echo "$1: exit $?, mail: $(head -n 1 /tmp/mail | sed 's/:[0-9]*:/:LINE:/')"
}
"#;

#[test]
fn cron_does_it_without_systemd() {
    let Some(package) = package() else { return };
    let town = Town::new(&package);
    let script = format!(
        "{CRON}
dpkg -i /test/new.deb >/dev/null 2>&1 || exit 9
test -L /etc/systemd/system/timers.target.wants/certferry.timer && echo 'enabled for the day systemd comes'
cron 'nothing configured'
{CERTBOT}
{CONFIGURE}
cp /etc/certferry/config.toml /tmp/good
echo '[nonsense]' >>/etc/certferry/config.toml
cron 'a wrong configuration'
cp /tmp/good /etc/certferry/config.toml
{HOOK} hook --json >/tmp/hook 2>&1; echo \"hook: exit $?\"
mv /var/lib/certferry/journal /tmp/forgotten; mkdir -m 0700 /var/lib/certferry/journal
cron 'a claim'
mkdir /run/systemd /run/systemd/system
cron 'under systemd'
rmdir /run/systemd/system
dpkg -r certferry >/dev/null
cron 'removed'
dpkg --purge certferry | grep certferry:
find / -xdev -name '*certferry*' -not -path '/test/*'"
    );
    let ran = without_systemd("bookworm", town.folder.path(), &script);
    let want = "\
enabled for the day systemd comes
nothing configured: exit 1, mail: 
a wrong configuration: exit 2, mail: /etc/certferry/config.toml:LINE: `nonsense` is not known
hook: exit 0
a claim: exit 0, mail: 
under systemd: exit 1, mail: 
removed: exit 1, mail: 
certferry: purging deletes /var/lib/certferry, with the private keys (1) of
certferry: purging deletes these files, secrets among them:
";
    assert_eq!(ran.said, want, "exit {:?}", ran.code);
    assert!(town.serves());
}
