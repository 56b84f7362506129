//! Who one is at a registry: what `login` keeps, and what comes of it.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use testkit::Output;

use crate::kit::{Layout, Registry, busybox_tar, engine, good};

/// `me`, `secret`.
fn guarded(directory: &std::path::Path) -> Registry {
    let hashed = Output::of(Command::new("python3").args([
        "-c",
        "import crypt; print('me:' + crypt.crypt('secret', crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16)))",
    ]));
    let path = directory.join("htpasswd");
    // Of crypt(3)'s names for it, the registry knows this one.
    std::fs::write(&path, good(hashed).replace("$2b$", "$2y$") + "\n").unwrap();
    Registry::start_with(&format!("auth:\n  htpasswd:\n    realm: here\n    path: {}\n", path.display()))
}

#[test]
fn a_login_is_kept_as_docker_keeps_it_and_opens_the_registry() {
    let directory = testkit::directory();
    let registry = guarded(directory.path());
    let engine = engine(&directory.path().join("engine"));
    let host = registry.host();
    let name = format!("{host}/mine:1");
    let tar = testkit::busybox_image(directory.path());
    good(engine.wharf(&["import", tar.to_str().unwrap(), &name]));
    let refused = engine.wharf(&["push", &name]);
    assert!(refused.stderr.ends_with("no basic auth credentials\n"), "{refused:?}");

    let wrong = engine.wharf(&["login", "-u", "me", "-p", "wrong", &host]);
    assert_eq!(wrong.status, 1);
    assert_eq!(
        wrong.stderr,
        format!(
            "WARNING! Using --password via the CLI is insecure. Use --password-stdin.\nError response from daemon: login \
             attempt to http://{host}/v2/ failed with status: 401 Unauthorized\n"
        )
    );
    let mut login = engine.client("wharf");
    login.args(["login", "-u", "me", "--password-stdin", &host]).stdin(Stdio::piped());
    let mut child = login.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"secret\n").unwrap();
    let said = child.wait_with_output().unwrap();
    let config = engine.directory().join("config/config.json");
    assert_eq!(String::from_utf8_lossy(&said.stdout), "Login Succeeded\n", "{said:?}");
    let warning = format!(
        "\nWARNING! Your credentials are stored unencrypted in '{}'.\nConfigure a credential helper to remove this \
         warning. See\nhttps://docs.docker.com/go/credential-store/\n\n",
        config.display()
    );
    assert_eq!(String::from_utf8_lossy(&said.stderr), warning);
    let kept = std::fs::read_to_string(&config).unwrap();
    assert_eq!(
        kept,
        format!(
            "{{\n\t\"auths\": {{\n\t\t\"{host}\": {{\n\t\t\t\"auth\": \"bWU6c2VjcmV0\"\n\t\t}}\n\t}}\n}}"
        )
    );
    assert_eq!(std::fs::metadata(&config).unwrap().permissions().mode() & 0o777, 0o600);

    // What it is good for; Docker's own client reads it, too.
    good(engine.wharf(&["push", &name]));
    good(engine.wharf(&["rmi", "-f", &name]));
    good(engine.wharf(&["run", "--rm", &name, "true"]));
    let mut docker = engine.docker().expect("the docker CLI is installed (Debian: docker.io or docker-cli)");
    good(Output::of(docker.args(["pull", &name])));

    // A client in a container may do what the user may.
    let of_container = |flags: &[&str], script: &str| {
        let words =
            [&["run", "--rm", "--use-api-socket"], flags, &[name.as_str(), "sh", "-c", script]].concat();
        good(engine.wharf(&words))
    };
    let script = "[ -S /var/run/docker.sock ] && stat -c %a $DOCKER_CONFIG/config.json && cat $DOCKER_CONFIG/config.json";
    let expected = format!("600\n{{\"auths\":{{\"{host}\":{{\"auth\":\"bWU6c2VjcmV0\"}}}}}}");
    assert_eq!(of_container(&[], script), expected);
    let own =
        of_container(&["-e", "DOCKER_CONFIG=/own"], "echo $DOCKER_CONFIG; ls /run/secrets 2>/dev/null; true");
    assert_eq!(own, "/own");

    let again = engine.wharf(&["login", &host]);
    assert!(
        again.stderr.starts_with("Authenticating with existing credentials... [Username: me]\n"),
        "{again:?}"
    );
    assert_eq!(good(again), "Login Succeeded");
    assert_eq!(good(engine.wharf(&["logout", &host])), format!("Removing login credentials for {host}"));
    assert_eq!(std::fs::read_to_string(&config).unwrap(), "{\n\t\"auths\": {}\n}");
    assert!(engine.wharf(&["pull", &name]).stderr.contains("no basic auth credentials"));
}

#[test]
fn a_helper_keeps_credentials_and_the_rest_of_the_file_stays() {
    let directory = testkit::directory();
    let registry = guarded(directory.path());
    let engine = engine(&directory.path().join("engine"));
    let host = registry.host();
    let config = engine.directory().join("config");
    std::fs::create_dir_all(&config).unwrap();
    std::fs::write(config.join("config.json"), "{\"own\": [1], \"credsStore\": \"test\"}").unwrap();
    let script = format!(
        "#!/bin/sh\ncd {}\ncase $1 in\nstore) cat > kept;;\nget) cat > /dev/null; cat kept 2>/dev/null || {{ echo credentials \
         not found in native keychain; exit 1; }};;\nerase) rm kept;;\nesac\n",
        directory.path().display()
    );
    let helper = directory.path().join("docker-credential-test");
    std::fs::write(&helper, script).unwrap();
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", directory.path().display(), std::env::var("PATH").unwrap());
    let wharf = |args: &[&str]| Output::of(engine.client("wharf").env("PATH", &path).args(args));

    let said = wharf(&["login", "-u", "me", "-p", "secret", &host]);
    assert_eq!(said.stdout, "Login Succeeded\n", "{said:?}");
    let kept = std::fs::read_to_string(directory.path().join("kept")).unwrap();
    assert_eq!(kept, format!("{{\"ServerURL\":\"{host}\",\"Username\":\"me\",\"Secret\":\"secret\"}}"));
    let file = std::fs::read_to_string(config.join("config.json")).unwrap();
    assert!(
        !file.contains("auth\"") && file.contains("\"own\"") && file.contains(&format!("\"{host}\": {{}}")),
        "{file}"
    );
    let image = Layout::make(&directory.path().join("image"), "amd64", &[busybox_tar()]);
    let missing = format!("{host}/nosuch:1");
    assert!(wharf(&["pull", &missing]).stderr.contains("manifest unknown"), "{:?}", image.manifest);
    good(wharf(&["logout", &host]));
    assert!(!directory.path().join("kept").exists());
}
