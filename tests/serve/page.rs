//! The web page, as a browser shows it.

use std::path::Path;
use std::process::Command;

use crate::kit::{Served, binary, layout, put, tar_of};

/// What stands in the page when a browser has taken it in; and what the browser had against it.
fn shown(home: &Path, url: &str) -> (String, String) {
    let output = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
        .args(["--enable-logging=stderr", "--timeout=30000", "--dump-dom", url])
        .arg(format!("--user-data-dir={}", home.join("browser").display()))
        .env("HOME", home)
        .output()
        .expect("run chromium (Debian's package chromium)");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let page = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && page.contains("<html"), "{url}: {page}\n{said}");
    let complaints = said.lines().filter(|line| line.contains("CONSOLE"));
    (page, complaints.collect::<Vec<_>>().join("\n"))
}

/// The text of the cells of each row.
fn rows(page: &str) -> Vec<Vec<String>> {
    let text = |cell: &str| {
        let mut is_text = true;
        let visible = |c: char| match c {
            '<' => {
                is_text = false;
                None
            }
            '>' => {
                is_text = true;
                None
            }
            c => Some(c).filter(|_| is_text),
        };
        cell.chars().filter_map(visible).collect::<String>()
    };
    let cells = |row: &str| {
        let cells = row.split("<td").skip(1).filter_map(|cell| cell.split_once('>'));
        cells.map(|(_, cell)| text(cell.split("</td>").next().unwrap_or_default())).collect()
    };
    page.split("<tr>").skip(1).map(cells).filter(|cells: &Vec<String>| !cells.is_empty()).collect()
}

#[test]
fn a_browser_shows_repositories_tags_sizes_and_how_to_pull() {
    let directory = testkit::directory();
    let home = directory.path();
    let configuration = format!(
        "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:{{port}}\n",
        home.join("data").display()
    );
    let registry = Served::start(binary(), &home.join("ours"), &configuration);
    let host = registry.host();
    let (page, complaints) = shown(home, &format!("http://{host}/"));
    assert!(
        page.contains(&format!("docker push {host}/name:tag")) && complaints.is_empty(),
        "{page}{complaints}"
    );

    let (small, large) = (home.join("small"), home.join("large"));
    let one = layout(&small, &tar_of("a", b"one"));
    let two = layout(&large, &tar_of("b", &vec![7; 3 << 20]));
    put(home, &small, &format!("{host}/team/app:1"));
    put(home, &large, &format!("{host}/team/app:2"));
    put(home, &small, &format!("{host}/other:latest"));

    let (page, complaints) = shown(home, &format!("http://{host}/"));
    // It may style itself, under a policy that lets nothing else in.
    assert_eq!(complaints, "");
    assert_eq!(rows(&page), [["other"], ["team/app"]]);
    let link = page.split("href=\"").find(|rest| rest.contains(">team/app<")).expect("a link");
    let link = link.split('"').next().unwrap_or_default();

    let (page, complaints) = shown(home, &format!("http://{host}{link}"));
    assert_eq!(complaints, "");
    let size = |digest: &oci::Digest| {
        let (_, _, body) = registry.ask("GET", &format!("/v2/team/app/manifests/{digest}"), b"");
        let manifest: serde_json::Value = serde_json::from_slice(&body).expect("a manifest");
        manifest["layers"][0]["size"].as_u64().expect("a size")
    };
    assert!(size(&one) < 1 << 16 && size(&two) > 3 << 20);
    let found = rows(&page);
    let row = |tag: &str, digest: &oci::Digest| {
        let row = found.iter().find(|row| row[0] == tag).expect("a row");
        assert_eq!(row[1], digest.short());
        assert_eq!(row[3], format!("docker pull {host}/team/app:{tag}"));
        row[2].clone()
    };
    assert_eq!(found.len(), 2);
    assert!(row("1", &one).ends_with('B') && row("2", &two).contains('M'), "{found:?}");
}
