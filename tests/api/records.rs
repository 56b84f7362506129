//! What other programs find in a container's directory.

use super::*;

#[test]
fn a_container_s_directory_tells_docker_s_story() {
    let house = House::new();
    let id = house.create(
        "one",
        "sleep 1000",
        json!({"HostConfig": {"Memory": 67_108_864, "Isolation": "default"}}),
    );
    house.start("one");
    let directory = house.engine.directory().join("data/containers").join(&id);
    let read = |name: &str| -> Value {
        let text = std::fs::read(directory.join(name)).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    };
    until("it is written", || read("config.v2.json")["State"]["Running"] == true);
    let config = read("config.v2.json");
    assert_eq!((&config["ID"], &config["Name"]), (&json!(id), &json!("/one")));
    assert_eq!(config["Config"]["Image"], "bb");
    assert_eq!(config["LogPath"], house.get("/containers/one/json").json()["LogPath"]);
    let host = read("hostconfig.json");
    assert_eq!((&host["Memory"], &host["Isolation"]), (&json!(67_108_864), &json!("default")));
    assert_eq!(host["MemorySwap"], 134_217_728);
    house.post("/containers/one/kill", None, 204);
    until("its end is written", || read("config.v2.json")["State"]["ExitCode"] == 137);
    assert_eq!(house.ask("DELETE", "/containers/one", None).status, 204);
    assert!(!directory.exists());
}
