//! The pace in paused time, and what other processes left in its file.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use tokio::time::Instant;

use super::*;

const STEP: Duration = Duration::from_millis(104);
const HOST: &str = "cloud.test:443";

/// A pace whose ticks are tokio's, so that paused time moves it.
fn pace(folder: Option<&Path>) -> Pace {
    let folders: Vec<PathBuf> = folder.into_iter().map(Path::to_owned).collect();
    pace_in(HOST, &folders)
}

fn pace_in(endpoint: &str, folders: &[PathBuf]) -> Pace {
    let start = Instant::now();
    let ticks = Arc::new(move || Duration::from_secs(1000) + start.elapsed());
    Pace::ticking("id", endpoint, folders, ticks)
}

/// When `count` calls leave, asked for at once, in milliseconds.
async fn leavings(pace: &Pace, count: usize) -> Vec<u128> {
    let start = Instant::now();
    let calls = (0..count).map(|_| async {
        pace.leave("Upload", STEP).await;
        start.elapsed().as_millis()
    });
    futures_util::future::join_all(calls).await
}

fn check_gaps(row: &str, times: &[u128], least: u128, most: u128) {
    for pair in times.windows(2) {
        let gap = pair[1] - pair[0];
        assert!((least..=most).contains(&gap), "{row}: {times:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_burst_from_the_first_on() {
    let times = leavings(&pace(None), 20).await;
    assert_eq!(times[0], 0);
    check_gaps("in memory", &times, 104, 106);
}

#[tokio::test(start_paused = true)]
async fn lanes_are_independent() {
    let pace = pace(None);
    let start = Instant::now();
    pace.leave("Upload", STEP).await;
    pace.leave("Look", STEP).await;
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn throttled_is_half_the_pace_for_a_minute() {
    let pace = pace(None);
    pace.slow_down("Upload").await;
    check_gaps("slow", &leavings(&pace, 5).await, 208, 210);
    sleep(SLOW).await;
    check_gaps("as before", &leavings(&pace, 5).await, 104, 106);
}

#[tokio::test(start_paused = true)]
async fn two_runs_share_it_by_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (pace(Some(folder.path())), pace(Some(folder.path())));
    let (a, b) = futures_util::join!(leavings(&one, 5), leavings(&two, 5));
    let mut all = [a, b].concat();
    all.sort_unstable();
    check_gaps("both", &all, 104, 120);
}

/// Whatever is there in place of a sound file, a call leaves at once, and the next one in its time.
async fn check_file(row: &str, make: impl FnOnce(&Path)) {
    let top = tempfile::tempdir().unwrap();
    let folder = top.path().join("pace");
    std::fs::create_dir(&folder).unwrap();
    mode(&folder, 0o700);
    make(&folder.join(file_name("id")));
    let times = leavings(&pace(Some(&folder)), 3).await;
    assert_eq!(times[0], 0, "{row}");
    check_gaps(row, &times, 104, 110);
}

#[tokio::test(start_paused = true)]
async fn files_that_are_not_sound() {
    check_file("none", |_| {}).await;
    check_file("empty", |path| std::fs::write(path, "").unwrap()).await;
    check_file("garbage", |path| std::fs::write(path, b"\xff\xfe\n").unwrap()).await;
    let line = |words: &str| format!("{HOST}/Upload {words}\n");
    check_file("words", |path| std::fs::write(path, line("soon later") + &line("")).unwrap()).await;
    check_file("of a boot before", |path| {
        std::fs::write(path, line("9000000000 9000000000")).unwrap()
    })
    .await;
    check_file("numbers too large", |path| {
        std::fs::write(path, line(&format!("{} 1", u64::MAX))).unwrap()
    })
    .await;
    check_file("a folder", |path| std::fs::create_dir(path).unwrap()).await;
    check_file("a link", |path| std::os::unix::fs::symlink("/etc/passwd", path).unwrap()).await;
    check_file("no folder", |path| std::fs::remove_dir(path.parent().unwrap()).unwrap()).await;
    check_file("no folder above", |path| {
        let folder = path.parent().unwrap();
        std::fs::remove_dir(folder).unwrap();
        std::fs::write(folder, "").unwrap();
    })
    .await;
    // In ten minutes of a thousand: who believed it would wait.
    let far = line("1100000000 1");
    check_file("others may write it", |path| {
        std::fs::write(path, &far).unwrap();
        mode(path, 0o666);
    })
    .await;
    check_file("others may write its folder", |path| {
        std::fs::write(path, &far).unwrap();
        mode(path.parent().unwrap(), 0o777);
    })
    .await;
    check_file("its folder is a link", |path| {
        let folder = path.parent().unwrap();
        let real = folder.with_extension("real");
        std::fs::rename(folder, &real).unwrap();
        std::fs::write(real.join(path.file_name().unwrap()), &far).unwrap();
        std::os::unix::fs::symlink(real, folder).unwrap();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_another_run_left_counts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(file_name("id"));
    let (over, other) = ("b:1/Over 7 8", "b:1/Other 1090000000 8");
    let ours = format!("{HOST}/Upload 1000500000 1050000000");
    std::fs::write(&path, format!("{over}\n{other}\n{ours}\n")).unwrap();
    mode(&path, 0o600);
    let times = leavings(&pace(Some(folder.path())), 3).await;
    assert!((500..503).contains(&times[0]), "{times:?}");
    check_gaps("their slow down is ours", &times, 208, 212);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(other) && !text.contains(over), "{text}");
}

/// A run that is told so and ends at once has told the others all the same.
#[tokio::test(start_paused = true)]
async fn a_throttled_answer_slows_all_runs() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (pace(Some(folder.path())), pace(Some(folder.path())));
    one.slow_down("Upload").await;
    check_gaps("the other", &leavings(&two, 3).await, 208, 212);
}

#[tokio::test(start_paused = true)]
async fn endpoints_are_independent() {
    let folder = tempfile::tempdir().unwrap();
    let folders = [folder.path().to_owned()];
    let start = Instant::now();
    for endpoint in ["127.0.0.1:1", "127.0.0.1:2"] {
        pace_in(endpoint, &folders).leave("Upload", STEP).await;
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
    let files = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(files, 1, "one file for an AccessKey");
}

#[tokio::test(start_paused = true)]
async fn the_first_folder_that_can_be_used_is_shared() {
    let top = tempfile::tempdir().unwrap();
    let (file, good) = (top.path().join("file"), top.path().join("good"));
    std::fs::write(&file, "").unwrap();
    let absent = top.path().join("absent/deeper");
    let (one, two) = (pace_in(HOST, &[absent, file, good.clone()]), pace_in(HOST, &[good]));
    let (a, b) = futures_util::join!(leavings(&one, 5), leavings(&two, 5));
    let mut all = [a, b].concat();
    all.sort_unstable();
    check_gaps("both", &all, 104, 120);
}

fn mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_slowest_pace_is_kept_between_runs() {
    let folder = tempfile::tempdir().unwrap();
    let slowest = super::super::SLOWEST;
    let (start, one, two) = (Instant::now(), pace(Some(folder.path())), pace(Some(folder.path())));
    one.slow_down("Upload").await;
    one.leave("Upload", slowest).await;
    two.leave("Upload", slowest).await;
    assert_eq!(start.elapsed().as_secs(), (slowest * 2).as_secs());
}

/// Time stands still for threads, so all of it is the waiting for the lock.
#[tokio::test(start_paused = true)]
async fn one_that_hangs_with_the_lock_holds_us_up_once() {
    let folder = tempfile::tempdir().unwrap();
    let held = File::create(folder.path().join(file_name("id"))).unwrap();
    held.lock().unwrap();
    let times = leavings(&pace(Some(folder.path())), 5).await;
    assert_eq!(times[0], (LOCK_PAUSE * LOCK_TRIES).as_millis());
    check_gaps("then by memory", &times, 104, 106);
}

#[test]
fn the_file_tells_no_key() {
    assert_eq!(file_name("id").len(), "pace-0123456789abcdef.lock".len());
    assert_ne!(file_name("id"), file_name("ie"));
    assert!(!file_name("LTAIexample").contains("LTAI"));
}

#[test]
fn ticks_move() {
    let before = since_boot();
    assert!(!before.is_zero() && since_boot() >= before);
}
