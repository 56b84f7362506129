use serde_json::json;

use super::*;

fn inspect(template: &str) -> Result<String, String> {
    let object = json!({
        "Id": "0123456789", "Name": "/web", "Count": 3,
        "State": {"Status": "running", "Running": true, "ExitCode": 0},
        "Config": {"Env": ["A=1", "B=2"], "Labels": {"b": "2", "a": "1"}},
        "Mounts": [],
    });
    Template::parse(template)
        .and_then(|template| template.execute(&Data::from_json(&object), Missing::Key))
        .map_err(|error| error.to_string())
}

fn row(template: &str) -> Result<String, String> {
    let labels = [("com.example.role".to_owned(), "web".to_owned())].into();
    let data = Data::row([("ID", json!("abc")), ("Names", json!("web"))], Some(labels));
    Template::parse(template)
        .and_then(|template| template.execute(&data, Missing::Field("*formatter.ContainerContext")))
        .map_err(|error| error.to_string())
}

#[test]
fn dockers_functions() {
    for (template, expected) in [
        ("{{.Id}}", "0123456789"),
        ("{{json .State}}", r#"{"Status":"running","Running":true,"ExitCode":0}"#),
        ("{{json .Config.Env}}", r#"["A=1","B=2"]"#),
        ("{{join .Config.Env \",\"}}", "A=1,B=2"),
        ("{{join .Config.Labels \",\"}}", "1,2"),
        ("{{index (split .Name \"/\") 1}}", "web"),
        ("{{upper .State.Status}} {{.State.Status | title}} {{lower \"AB\"}}", "RUNNING Running ab"),
        ("{{truncate .Id 4}}|{{pad .Name 1 2}}|", "0123| /web  |"),
        ("{{range $k, $v := .Config.Labels}}{{$k}}={{$v}};{{end}}", "a=1;b=2;"),
        ("{{with .State}}{{.ExitCode}}{{end}}{{if .Mounts}}m{{else}}none{{end}}", "0none"),
        ("{{printf \"%05d|%-6s|%q\" .Count .State.Status .Name}}", "00003|running|\"/web\""),
        ("{{.Config.Env}} {{.Config.Labels}}", "[A=1 B=2] map[a:1 b:2]"),
        ("{{len .Config.Env}}{{println}}", "2\n"),
        ("{{index .Config.Labels \"a\"}}", "1"),
        ("{{index .Config.Labels \"nope\"}}|", "|"),
        ("{{index .Config.Env 1}}", "B=2"),
        ("{{.Config.Labels.nope}}", "<no value>"),
        ("{{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}", "none"),
        ("{{if and .State.Running (eq .Count 3)}}yes{{end}}", "yes"),
    ] {
        assert_eq!(inspect(template).as_deref(), Ok(expected), "{template}");
    }
}

#[test]
fn a_missing_key_of_an_object() {
    assert_eq!(
        inspect("{{.Foo}}").unwrap_err(),
        "template: :1:2: executing \"\" at <.Foo>: map has no entry for key \"Foo\""
    );
    assert_eq!(
        inspect("{{.State.Health.Status}}").unwrap_err(),
        "template: :1:8: executing \"\" at <.State.Health.Status>: map has no entry for key \"Health\""
    );
}

#[test]
fn a_missing_field_of_a_row() {
    assert_eq!(
        row("{{.ID}} {{.Foo}}").unwrap_err(),
        "template: :1:10: executing \"\" at <.Foo>: can't evaluate field Foo in type *formatter.ContainerContext"
    );
}

#[test]
fn a_cell_may_be_an_object_with_a_text() {
    let cells = [("None", json!(null)), ("Platform", json!({"architecture": "amd64", "os": "linux"}))];
    let data = Data::row(cells, None).printed("Platform", "linux/amd64".into());
    let made = |template: &str| {
        Template::parse(template)
            .unwrap()
            .execute(&data, Missing::Field("*formatter.ContainerContext"))
            .unwrap()
    };
    assert_eq!(
        made("{{.Platform}} {{.None}} {{json .Platform}}"),
        r#"linux/amd64 <nil> {"architecture":"amd64","os":"linux"}"#
    );
    assert_eq!(made("{{json .}}"), r#"{"None":null,"Platform":{"architecture":"amd64","os":"linux"}}"#);
    assert_eq!(made("{{with .None}}x{{else}}-{{end}}{{upper .Platform.os}}"), "-LINUX");
}

#[test]
fn labels_are_called() {
    assert_eq!(row("{{.ID}} {{.Label \"com.example.role\"}}").as_deref(), Ok("abc web"));
    assert_eq!(row("{{.Label \"none\" | upper}}|").as_deref(), Ok("|"));
    let titles = Data::titles([("ID", "CONTAINER ID")]);
    let template = Template::parse("{{upper .ID}}\t{{.Label \"com.example.my-role\"}}").unwrap();
    assert_eq!(template.execute_header(&titles).as_deref(), Ok("CONTAINER ID\tmy role"));
}

#[test]
fn json_of_a_row_is_sorted_and_has_no_methods() {
    assert_eq!(row("{{json .}}").as_deref(), Ok(r#"{"ID":"abc","Names":"web"}"#));
}

#[test]
fn unreadable_templates() {
    assert!(Template::parse("{{.Id}} {{foo}}").is_err(), "an unknown function is known before there is data");
    assert_eq!(inspect("{{.Id").unwrap_err(), "template: :1: unclosed action");
    assert_eq!(inspect("{{foo .Id}}").unwrap_err(), "template: :1: function \"foo\" not defined");
}
