//! Templates and what they print for one row.

use proptest::prelude::*;
use timberyard_model::Timestamp;

use super::{Scope, Template};

struct Row;

const LABELS: [(&str, &str); 5] =
    [("app", "x"), ("foo", "blip"), ("num", "5.3"), ("path", "/a%20b"), ("empty", "")];

impl Scope for Row {
    fn label(&self, name: &str) -> Option<&str> {
        LABELS.iter().find(|pair| pair.0 == name).map(|pair| pair.1)
    }

    fn for_each_label(&self, visit: &mut dyn FnMut(&str, &str)) {
        LABELS.iter().for_each(|(name, value)| visit(name, value));
    }

    fn line(&self) -> &[u8] {
        r#"{"a":{"b":[10,20]},"t":true}"#.as_bytes()
    }

    fn timestamp(&self) -> Timestamp {
        Timestamp::from_nanos(1_656_353_124_120_000_000)
    }

    fn now(&self) -> Option<Timestamp> {
        Some(Timestamp::from_nanos(1_700_000_000_000_000_000))
    }
}

fn run(text: &str) -> String {
    let template = match Template::parse("line", text) {
        Ok(template) => template,
        Err(error) => return error,
    };
    let mut output = Vec::new();
    match template.execute(&Row, &mut output) {
        Ok(()) => String::from_utf8_lossy(&output).into_owned(),
        Err(error) => error,
    }
}

fn check(cases: &[(&str, &str)]) {
    for (template, expected) in cases {
        assert_eq!(run(template), *expected, "{template}");
    }
}

#[test]
fn fields_pipes_and_trimming() {
    check(&[
        ("foo{{.foo}}buzz{{  .nope  }}|", "fooblipbuzz|"),
        ("{{ .foo | upper | printf \"%s-%d\" \"n\" 3 }}", "n-3%!(EXTRA string=BLIP)"),
        ("a {{- \" b \" -}} c {{/* no */}}d{{- /* no */ -}} e", "a b c de"),
        ("{{ . }}", "map[app:x empty: foo:blip num:5.3 path:/a%20b]"),
        ("{{ $x := .foo }}{{ $x }} {{ $.app }} {{ $x = \"y\" }}{{ $x }}", "blip x y"),
        ("{{ (fromJson __line__).a.b }} {{ len (fromJson __line__).a }}", "[10 20] 1"),
        (
            "{{ $j := fromJson __line__ }}{{ index $j.a.b 1 }} {{ $j.a }} {{ $j.zz }} {{ $j.zz.y }}",
            "20 map[b:[10 20]] <no value> <no value>",
        ),
        (
            "{{ 1.50 }} {{ 0x1F }} {{ 1e3 }} {{ 'a' }} {{ -3 }} {{ 1_000 }} {{ true }}",
            "1.5 31 1000 97 -3 1000 true",
        ),
        ("static", "static"),
        ("", ""),
    ]);
}

#[test]
fn control_structures() {
    check(&[
        ("{{ if eq .app \"y\" }}1{{ else if eq .app \"x\" }}2{{ else }}3{{ end }}", "2"),
        ("{{ if .empty }}1{{ else }}2{{ end }}", "2"),
        ("{{ with .foo }}[{{ . }}]{{ end }}{{ with .empty }}x{{ else }}none{{ end }}", "[blip]none"),
        ("{{ range (fromJson __line__).a.b }}<{{ . }}>{{ end }}", "<10><20>"),
        ("{{ range $i, $v := (fromJson __line__).a.b }}{{ $i }}={{ $v }};{{ end }}", "0=10;1=20;"),
        ("{{ range $k, $v := . }}{{ $k }} {{ end }}", "app empty foo num path "),
        (
            "{{ range 5 }}{{ if eq . 1 }}{{ continue }}{{ end }}{{ if eq . 3 }}{{ break }}{{ end }}{{ . }}{{ end }}",
            "02",
        ),
        ("{{ range fromJson \"[]\" }}x{{ else }}empty{{ end }}", "empty"),
        (
            "{{ define \"t\" }}T({{ . }}){{ end }}{{ template \"t\" .app }}{{ block \"b\" .foo }}B{{ . }}{{ end }}",
            "T(x)Bblip",
        ),
        ("{{ and .foo .empty }}|{{ or .empty .foo }}|{{ not .empty }}|{{ and true 0 }}", "|blip|true|0"),
        ("{{ or true (div 1 0) }}", "true"),
    ]);
}

#[test]
fn functions_on_texts() {
    check(&[
        (
            "{{ lower \"ABÉ\" }} {{ upper \"groß é\" }} {{ title \"two words, three_x é\" }}",
            "abé GROß É Two Words, Three_x É",
        ),
        (
            "{{ replace \" \" \"-\" \"a b c\" }} {{ Replace \"a b c\" \" \" \"-\" 1 }} {{ Replace \"abc\" \"\" \".\" -1 }}",
            "a-b-c a-b c .a.b.c.",
        ),
        (
            "[{{ trim \"  x \" }}{{ trimAll \"$\" \"$5$\" }}{{ trimPrefix \"a\" \"abc\" }}{{ trimSuffix \"c\" \"abc\" }}{{ TrimLeft \"--x-\" \"-\" }}]",
            "[x5bcabx-]",
        ),
        (
            "{{ trunc 2 .foo }} {{ trunc -2 .foo }} {{ substr 1 3 .foo }} {{ substr 1 -1 .foo }}",
            "bl ip li lip",
        ),
        (
            "{{ contains \"li\" .foo }} {{ hasPrefix \"bl\" .foo }} {{ hasSuffix \"x\" .foo }}",
            "true true false",
        ),
        ("{{ indent 2 \"a\\nb\" }}{{ nindent 1 \"c\" }} {{ repeat 3 \"ab\" }}", "  a\n  b\n c ababab"),
        (
            "[{{ alignLeft 6 .foo }}][{{ alignRight 6 .foo }}][{{ alignLeft 2 .foo }}][{{ alignRight 2 .foo }}]",
            "[blip  ][  blip][bl][ip]",
        ),
        (
            "{{ regexReplaceAll \"a(x*)b\" \"-ab-axxb-\" \"${1}W\" }} {{ regexReplaceAllLiteral \"a(x*)b\" \"-ab-\" \"${1}\" }} {{ count \"[0-9]\" \"a1b22\" }}",
            "-W-xxW- -${1}- 3",
        ),
        (
            "{{ print \"a\" 1 2 \"b\" }} {{ println \"x\" 1 }}|{{ html \"<a&'b\" }} {{ js \"it's=\" }} {{ urlquery \"a b\" }}",
            "a1 2b x 1\n|&lt;a&amp;&#39;b it\\'s\\u003D a+b",
        ),
        (
            "{{ .path | urldecode }} {{ urlencode \"a b/ü\" }} {{ b64enc \"hi!\" }} {{ b64dec \"Zm9vYg\" }} {{ b64dec \"!!!!\" }}",
            "/a b a+b%2F%C3%BC aGkh foob illegal base64 data at input byte 0",
        ),
        (
            "{{ len \"é\" }} {{ index \"abc\" 1 }} {{ slice \"abcdef\" 1 3 }} {{ index . \"app\" }}",
            "2 98 bc x",
        ),
        ("{{ .foo | default \"-\" }}{{ .empty | default \"-\" }}{{ .nope | default \"-\" }}", "blip--"),
        (
            "{{ printf \"%5.2f|%-5s|%05d|%x|%q|%v|%t|%T|%%|%e|%g|%U|%c\" 3.14159 \"ab\" 42 255 \"q\" 1.5 true 1 1500.0 1e21 65 66 }}",
            " 3.14|ab   |00042|ff|\"q\"|1.5|true|int|%|1.500000e+03|1e+21|U+0041|B",
        ),
        (
            "{{ printf \"%05s|%-05s|%05t|%05d|%05.1f|%05.2d\" \"a\" \"a\" true -4 1.25 7 }}",
            "0000a|a    |0true|-0004|001.2|   07",
        ),
        ("{{ printf \"%d %s\" \"x\" }}", "%!d(string=x) %!s(MISSING)"),
    ]);
}

#[test]
fn functions_on_numbers() {
    check(&[
        ("{{ add 1 \"2\" 3.9 }} {{ sub 5 7 }} {{ mul 2 3 4 }} {{ div 7 2 }} {{ mod 7 3 }}", "6 -2 24 3 1"),
        (
            "{{ addf 0.1 0.2 }} {{ subf 1 0.9 }} {{ mulf 1.1 1.1 }} {{ divf 1 3 }}",
            "0.3 0.1 1.21 0.3333333333333333",
        ),
        ("{{ max 1 3 2 }} {{ min 3 1 2 }} {{ maxf 1.5 2.5 }} {{ minf 1.5 2.5 }}", "3 1 2.5 1.5"),
        (
            "{{ ceil .num }} {{ floor .num }} {{ round 1.2345 2 }} {{ round 2.5 0 }} {{ round 123.555 1 0.3 }}",
            "6 5 1.23 3 123.6",
        ),
        (
            "{{ int \"42\" }} {{ int 3.9 }} {{ int \"0x10\" }} {{ int \"2.9\" }} {{ int \"x\" }} {{ float64 \"4.5\" }}",
            "42 3 16 2 0 4.5",
        ),
        (
            "{{ bytes \"1.5KB\" }} {{ bytes \"2MiB\" }} {{ duration \"1m30s\" }} {{ duration_seconds \"250ms\" }}",
            "1500 2.097152e+06 90 0.25",
        ),
        (
            "{{ eq 1 1 }} {{ ne \"a\" \"b\" }} {{ lt 1 2 }} {{ le 2.0 2.0 }} {{ gt \"b\" \"a\" }} {{ ge 1 2 }} {{ eq .app \"y\" \"x\" }}",
            "true true true true true false true",
        ),
    ]);
}

#[test]
fn functions_on_times() {
    check(&[
        ("{{ __timestamp__ }}", "2022-06-27 18:05:24.12 +0000 UTC"),
        (
            "{{ __timestamp__ | date \"2006-01-02\" }} {{ __timestamp__ | unixEpoch }} {{ __timestamp__.Unix }}",
            "2022-06-27 1656353124 1656353124",
        ),
        (
            "{{ toDate \"2006-01-02\" \"2021-11-02\" | unixEpoch }} {{ toDateInZone \"2006-01-02 15:04\" \"Europe/Berlin\" \"2024-07-01 02:00\" | unixEpochMillis }}",
            "1635811200 1719792000000",
        ),
        (
            "{{ unixToTime \"1679577215\" | unixEpochNanos }} {{ (unixToTime \"19503\").Year }}",
            "1679577215000000000 2023",
        ),
        (
            "{{ now | unixEpoch }} {{ date \"15:04\" 3600 }} {{ now.Format \"2006\" }}",
            "1700000000 01:00 2023",
        ),
    ]);
}

#[test]
fn errors_are_those_of_go() {
    check(&[
        ("{{.app", "template: line:1: unclosed action"),
        ("}} {{", "template: line:1: unclosed action"),
        ("x\n{{ nosuch }}", "template: line:2: function \"nosuch\" not defined"),
        ("{{ $x }}", "template: line:1: undefined variable \"$x\""),
        ("{{ if .a }}", "template: line:1: unexpected EOF"),
        ("{{ end }}", "template: line:1: unexpected {{end}}"),
        ("{{ }}", "template: line:1: missing value for command"),
        ("{{ .a | 3 }}", "template: line:1: non executable command in pipeline stage 2"),
        ("{{ \"a }}", "template: line:1: unterminated quoted string"),
        ("{{ (.a }}", "template: line:1: unclosed left paren"),
        ("{{ break }}", "template: line:1: {{break}} outside {{range}}"),
        (
            "{{upper}}",
            "template: line:1:2: executing \"line\" at <upper>: wrong number of args for upper: want 1 got 0",
        ),
        (
            "{{.foo | now}}",
            "template: line:1:9: executing \"line\" at <now>: wrong number of args for now: want 0 got 1",
        ),
        (
            "{{.foo Replace \"foo\"}}",
            "template: line:1:2: executing \"line\" at <.foo>: foo is not a method but has arguments",
        ),
        (
            "{{ div 1 0 }}",
            "template: line:1:3: executing \"line\" at <div 1 0>: error calling div: runtime error: integer divide by zero",
        ),
        (
            "{{ eq \"1\" 1 }}",
            "template: line:1:3: executing \"line\" at <eq \"1\" 1>: error calling eq: incompatible types for comparison: string and int",
        ),
        ("{{ upper 1 }}", "template: line:1:9: executing \"line\" at <1>: expected string; found 1"),
        (
            "{{ add 1 2 | upper }}",
            "template: line:1:13: executing \"line\" at <upper>: wrong type for value; expected string; got int64",
        ),
        (
            "{{ .foo.bar }}",
            "template: line:1:7: executing \"line\" at <.foo.bar>: can't evaluate field bar in type string",
        ),
        (
            "{{ template \"t\" }}",
            "template: line:1:12: executing \"line\" at <{{template \"t\"}}>: template \"t\" not defined",
        ),
        (
            "{{ urldecode \"%zz\" }}",
            "template: line:1:3: executing \"line\" at <urldecode \"%zz\">: error calling urldecode: invalid URL escape \"%zz\"",
        ),
    ]);
}

#[test]
fn what_a_template_may_cost_is_bounded() {
    for template in [
        "{{ repeat 1000000000 \"x\" }}",
        "{{ printf \"%1000000000d\" 1 }}",
        "{{ range 1000000000 }}{{ end }}",
        "{{ range 1000 }}{{ range 1000 }}x{{ end }}{{ end }}",
        "{{ $x := \"xxxxxxxxxx\" }}{{ range 60 }}{{ $x = printf \"%s%s\" $x $x }}{{ end }}",
        "{{ range 5000 }}{{ repeat 1000 \"x\" }}{{ end }}",
        "{{ define \"t\" }}{{ template \"t\" }}{{ end }}{{ template \"t\" }}",
        "{{ alignLeft 1000000000 \"x\" }}",
        "{{ indent 1000000000 \"x\" }}",
    ] {
        let error = run(template);
        let bounded = ["limit", "more than", "longer than", "maximum"];
        assert!(
            bounded.iter().any(|word| error.contains(word)),
            "{template}: {}",
            &error[..error.len().min(200)]
        );
    }
    let nested = format!("{{{{ {}1{} }}}}", "(".repeat(50_000), ")".repeat(50_000));
    assert_eq!(run(&nested), "template: line:1: template nests deeper than 64");
    let blocks = "{{ if true }}".repeat(10_000);
    assert_eq!(run(&blocks), "template: line:1: template nests deeper than 64");
    let deep_json = format!("{{{{ fromJson `{}` }}}}", "[".repeat(50_000));
    assert_eq!(run(&deep_json), "<no value>");
}

fn template() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "{{",
        "}}",
        "{{- ",
        " -}}",
        "/*",
        "*/",
        "if",
        "else",
        "end",
        "range",
        "with",
        "define",
        "template",
        "block",
        "break",
        "\"t\"",
        "`x",
        "$x",
        ":=",
        "=",
        "|",
        "(",
        ")",
        ".",
        ".foo",
        ".a.b",
        " ",
        "\n",
        "1",
        "-2.5",
        "0x1p-2",
        "'a'",
        "nil",
        "true",
        "printf",
        "\"%5.2v\"",
        "index",
        "slice",
        "fromJson",
        "__line__",
        "__timestamp__",
        "date",
        "\"Jan _2\"",
        "round",
        "substr",
        "title",
        "é",
        ",",
        "{{ . }}",
        "{{ end }}",
    ]);
    let spaced = (pieces, any::<bool>())
        .prop_map(|(piece, space)| if space { format!("{piece} ") } else { piece.to_owned() });
    prop_oneof![8 => prop::collection::vec(spaced, 0..16).prop_map(|pieces| pieces.concat()), 1 => "\\PC{0,20}"]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_template_panics(text in template()) {
        run(&text);
        run(&format!("{{{{ {text} }}}}"));
    }

    #[test]
    fn no_layout_or_time_panics(layout in "[0-9A-Za-z:.,_+ -]{0,12}", text in "[0-9A-Za-z:.,+ -]{0,12}", seconds in any::<i64>()) {
        run(&format!("{{{{ date `{layout}` {seconds} }}}}{{{{ toDateInZone `{layout}` `Europe/Berlin` `{text}` }}}}"));
        run(&format!("{{{{ date `2006-01-02 Mon Z07:00` {seconds} }}}}{{{{ toDate `2006-01-02 15:04:05.999 MST` `{text}` }}}}"));
    }

    #[test]
    fn no_format_panics(format in "[%a-zA-Z0-9 .#+-]{0,10}", number in any::<f64>()) {
        run(&format!("{{{{ printf \"{format}\" 1 `x` {number:e} . nil }}}}"));
    }
}
