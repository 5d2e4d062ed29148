//! Every word that the command line shows by itself, as people see it: tests/cmd/*.trycmd.

#[test]
fn the_command_line_says() {
    trycmd::TestCases::new()
        .case("tests/cmd/*.trycmd")
        .env("CERTFERRY_CONFIG", "/nowhere/config.toml")
        .env("LC_ALL", "C.UTF-8");
}
