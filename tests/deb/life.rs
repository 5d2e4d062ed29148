//! Installed, run, upgraded, removed, installed again, purged: by real systemds, in the service's own sandbox.

use super::machine::{Machine, package};
use super::town::{CERTBOT, CONFIGURE, HOOK, Town};

#[test]
fn on_debian_11() {
    lives_on("bullseye");
}

#[test]
fn on_debian_12() {
    lives_on("bookworm");
}

#[test]
fn on_debian_13() {
    lives_on("trixie");
}

fn lives_on(release: &str) {
    let Some(package) = package() else { return };
    let town = Town::new(&package);
    let machine = Machine::boot(release, town.folder.path());
    installing_starts_the_timer_alone(&machine);
    units_are_well(&machine);
    nothing_configured_is_passed_over(&machine);
    what_is_wrong_is_not(&machine);
    a_failed_hook_is_healed(&machine, &town);
    the_sandbox_holds(&machine);
    an_upgrade_changes_nothing(&machine);
    a_timer_that_was_switched_off_stays_so(&machine);
    removing_keeps_configuration_and_store(&machine);
    coming_back_is_no_run(&machine);
    purging_says_which_keys_it_deletes(&machine);
}

/// No run has begun since this machine was booted or the package installed.
fn never_ran(machine: &Machine, row: &str) {
    machine.is(row, "systemctl show certferry.service -p InvocationID --value", "");
}

fn timer_runs(machine: &Machine, row: &str) {
    machine.is(row, "systemctl is-enabled certferry.timer", "enabled");
    machine.is(row, "systemctl is-active certferry.timer", "active");
}

fn installing_starts_the_timer_alone(machine: &Machine) {
    let row = "install";
    machine.check(row, "dpkg -i /test/old.deb", 0, &[]);
    timer_runs(machine, row);
    never_ran(machine, row);
    let next = "next=$(systemctl show certferry.timer -p NextElapseUSecRealtime --value); \
                left=$(($(date -d \"$next\" +%s) - $(date +%s))); test $left -gt 0 -a $left -le 6600";
    machine.check(row, next, 0, &[]);
    machine.is(row, "stat -c '%a %U:%G' /etc/certferry/secrets", "700 root:root");
    machine.is(row, "stat -c '%a %U:%G' /etc/certferry/config.toml", "644 root:root");
    machine.check(row, "certferry --version", 0, &["certferry "]);
}

/// The package's and those for Caddy. Debian 11's verifier wants a control group of this machine's own, so a unit calls it.
fn units_are_well(machine: &Machine) {
    let script = "\
cat >/run/systemd/system/verify.service <<END
[Service]
Type=oneshot
WorkingDirectory=/lib/systemd/system
ExecStart=/usr/bin/systemd-analyze verify --man=no certferry.service certferry.timer certferry-failed.service \\
  /usr/share/certferry/hooks/caddy/certferry-caddy.service /usr/share/certferry/hooks/caddy/certferry-caddy.timer
StandardOutput=file:/tmp/verify
StandardError=file:/tmp/verify
END
systemctl daemon-reload; systemctl start verify.service; echo exit $?; cat /tmp/verify
rm /run/systemd/system/verify.service; systemctl daemon-reload";
    machine.is("verify", script, "exit 0");
}

fn nothing_configured_is_passed_over(machine: &Machine) {
    let row = "nothing configured";
    machine.check(row, "systemctl start certferry.service", 0, &[]);
    machine.is(row, "systemctl is-failed certferry.service", "inactive");
    machine.check(
        row,
        "journalctl -u certferry.service",
        0,
        &["nothing to keep in step: no [[certificate]]"],
    );
    machine.is(row, "systemctl show certferry-failed.service -p InvocationID --value", "");
}

fn what_is_wrong_is_not(machine: &Machine) {
    let row = "a wrong configuration";
    let wrong =
        "cp /etc/certferry/config.toml /tmp/kept; echo '[nonsense]' >>/etc/certferry/config.toml";
    machine.check(row, wrong, 0, &[]);
    machine.check(row, "systemctl start certferry.service", 1, &["certferry.service"]);
    machine.is(row, "systemctl is-failed certferry.service", "failed");
    machine.check(row, "journalctl -u certferry.service", 0, &["nonsense", "help:"]);
    let told = "for try in $(seq 50); do journalctl -p err -t certferry | grep 'The last run failed' && exit; sleep 0.2; done; exit 1";
    machine.check(row, told, 0, &["journalctl -u certferry.service"]);
    machine.check(row, "cp /tmp/kept /etc/certferry/config.toml; systemctl reset-failed", 0, &[]);
}

/// certbot reads no exit status and calls once; the timer's job puts it right, in its sandbox.
fn a_failed_hook_is_healed(machine: &Machine, town: &Town) {
    let row = "healing";
    machine.check(row, CERTBOT, 0, &[]);
    machine.check(row, CONFIGURE, 0, &[]);
    town.fail();
    machine.check(row, &format!("{HOOK} hook --deadline 3"), 1, &["InternalError"]);
    assert!(!town.serves());
    machine.check(row, "systemctl start certferry.service", 1, &[]);
    town.cloud.heal();
    machine.check(
        row,
        "systemctl start certferry.service || journalctl -u certferry.service",
        0,
        &[],
    );
    machine.is(row, "systemctl is-failed certferry.service", "inactive");
    assert!(town.serves(), "{}", machine.run("journalctl -u certferry.service").said);
    machine.check(row, "certferry status", 0, &["cdn.example.test  2", "  yes"]);
    machine.check(
        row,
        "systemctl start certferry.service; journalctl -u certferry.service -n 30",
        0,
        &["1 in step"],
    );
}

/// What a program in the service's place may do: root's reading, its own folders, nothing else.
fn the_sandbox_holds(machine: &Machine) {
    let row = "sandbox";
    machine.check(row, r#"
mkdir -p /run/systemd/system/certferry.service.d
cat >/run/systemd/system/certferry.service.d/probe.conf <<'END'
[Service]
ExecStartPre=/bin/sh -c 'grep -E "CapEff|CapBnd|NoNewPrivs|Seccomp:" /proc/self/status; id -u; cat /etc/letsencrypt/live/a/privkey.pem | head -c 27; echo; for place in /etc /usr /root /opt /boot /srv; do touch $$place/probe && echo wrote $$place; done; touch /var/lib/certferry/probe /run/certferry/probe && echo own; rm /var/lib/certferry/probe; unshare -n true && echo unshared; mknod /tmp/probe c 1 1 && echo node; exit 0'
END
systemctl daemon-reload; systemctl start certferry.service"#, 0, &[]);
    let said = machine.check(
        row,
        "journalctl -u certferry.service -o cat",
        0,
        &[
            "CapEff:\t0000000000000000",
            "CapBnd:\t0000000000000000",
            "NoNewPrivs:\t1",
            "Seccomp:\t2",
            "\n0\n",
            "-----BEGIN PRIVATE KEY-----",
            "\nown\n",
        ],
    );
    for word in ["wrote", "unshared", "node"] {
        assert!(!said.contains(&format!("\n{word}")), "{said}");
    }
    let away = "rm -r /run/systemd/system/certferry.service.d; systemctl daemon-reload";
    machine.check(row, away, 0, &[]);
}

fn an_upgrade_changes_nothing(machine: &Machine) {
    let row = "upgrade";
    let state = "cd /; systemctl show certferry.service -p InvocationID; sha256sum /etc/certferry/config.toml \
                 /etc/certferry/secrets/*; find /var/lib/certferry -type f | sort | xargs sha256sum";
    let before = machine.check(row, state, 0, &["config.toml", "secrets/aliyun", "privkey.pem"]);
    machine.check(row, "dpkg -i /test/new.deb", 0, &["over (0.0.9-1)"]);
    machine.is(row, state, before.trim());
    timer_runs(machine, row);
    machine.check(row, "certferry status", 0, &["cdn.example.test  2", "  yes"]);
}

fn a_timer_that_was_switched_off_stays_so(machine: &Machine) {
    let row = "switched off";
    let script = "systemctl disable --now certferry.timer && dpkg -i /test/new.deb";
    machine.check(row, script, 0, &[]);
    machine.is(row, "systemctl is-enabled certferry.timer", "disabled");
    machine.is(row, "systemctl is-active certferry.timer", "inactive");
    machine.check(row, "systemctl enable --now certferry.timer", 0, &[]);
}

fn removing_keeps_configuration_and_store(machine: &Machine) {
    let row = "remove";
    let state = "cd /; sha256sum /etc/certferry/config.toml /etc/certferry/secrets/*; find /var/lib/certferry | sort";
    let before = machine.check(row, state, 0, &["config.toml", "secrets/aliyun", "privkey.pem"]);
    machine.check(row, "dpkg -r certferry", 0, &[]);
    machine.is(row, state, before.trim());
    machine.is(row, "systemctl is-active certferry.timer", "inactive");
    machine.is(row, "ls /usr/bin/certferry /lib/systemd/system/certferry* 2>/dev/null", "");
}

/// The trap: a Persistent timer whose stamp says that it has missed a run has it at once.
fn coming_back_is_no_run(machine: &Machine) {
    let row = "back again";
    // Once a year and with no delay: a run that comes is the one that was missed.
    let timer = "\
mkdir -p /run/systemd/system/certferry.timer.d
printf '[Timer]\\nOnCalendar=\\nOnCalendar=yearly\\nRandomizedDelaySec=0\\n' >/run/systemd/system/certferry.timer.d/yearly.conf
touch -d '2 years ago' /var/lib/systemd/timers/stamp-certferry.timer";
    machine.check(row, timer, 0, &[]);
    machine.check(row, "dpkg -i /test/new.deb && sleep 2", 0, &[]);
    timer_runs(machine, row);
    never_ran(machine, row);
    machine.check(row, "rm -r /run/systemd/system/certferry.timer.d", 0, &[]);
}

fn purging_says_which_keys_it_deletes(machine: &Machine) {
    let row = "purge";
    let says = [
        "/var/lib/certferry, with the private keys (1) of\n  certbot /etc/letsencrypt/live/a\n",
        "/etc/certferry/secrets/aliyun",
    ];
    machine.check(row, "dpkg --purge certferry", 0, &says);
    let left =
        "find / -xdev -name '*certferry*' -not -path '/test/*'; ls -d /run/certferry 2>/dev/null";
    machine.is(row, left, "");
    machine.is(row, "systemctl list-units --all --no-legend 'certferry*'", "");
}
