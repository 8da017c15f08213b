//! What the parser accepts, and its words for what it does not.

use timberyard_model::limits::QueryLimits;

use super::{parse, parse_selector};

fn canonical(text: &str) -> String {
    match parse(text, &QueryLimits::default()) {
        Ok(expression) => expression.to_string(),
        Err(error) => error.to_string(),
    }
}

fn check(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(canonical(text), *expected, "{text}");
    }
}

#[test]
fn log_pipelines_are_read() {
    check(&[
        (r#"{ a = "b" , c =~ "d|e" }"#, r#"{a="b", c=~"d|e"}"#),
        (r#"({a="b"} |= "x")"#, r#"{a="b"} |= "x""#),
        (
            r#"{a="b"} |= "x" or "y" != "z" or `w` or ip("::1")"#,
            r#"{a="b"} |= "x" or "y" != "z" != "w" != ip("::1")"#,
        ),
        (r#"{a="b"} |> "<_>x" !> "y<_>""#, r#"{a="b"} |> "<_>x" !> "y<_>""#),
        (
            r#"{a="b"}|json|logfmt --strict --keep-empty x,y="z"|unpack"#,
            r#"{a="b"} | json | logfmt --strict --keep-empty x="x",y="z" | unpack"#,
        ),
        (r#"{a="b"} | json c, d="e.f[0]""#, r#"{a="b"} | json c="c",d="e.f[0]""#),
        (
            r#"{a="b"} | pattern "<x> y" | regexp "(?P<n>.)""#,
            r#"{a="b"} | pattern "<x> y" | regexp "(?P<n>.)""#,
        ),
        (
            r#"{a="b"} | drop x, y="1" | keep z | decolorize"#,
            r#"{a="b"} | drop x,y="1" | keep z | decolorize"#,
        ),
        (
            r#"{a="b"} | line_format "{{.x}}" | label_format p=q,r="{{.s}}""#,
            r#"{a="b"} | line_format "{{.x}}" | label_format p=q,r="{{.s}}""#,
        ),
        (r#"{rate="b", sum="c", duration=~".+", ip="d"}"#, r#"{rate="b", sum="c", duration=~".+", ip="d"}"#),
    ]);
}

#[test]
fn label_filters_bind_and_before_or_and_commas_last_to_first() {
    check(&[
        (r#"{a="b"} | x>1 and y<=2 or z==3"#, r#"{a="b"} | ( ( x>1 , y<=2 ) or z==3 )"#),
        (r#"{a="b"} | x>1 or y<2 and z=3"#, r#"{a="b"} | ( x>1 or ( y<2 , z==3 ) )"#),
        (r#"{a="b"} | x="1" , y="2" , z="3""#, r#"{a="b"} | ( x="1" , ( y="2" , z="3" ) )"#),
        (r#"{a="b"} | x="1" y="2""#, r#"{a="b"} | ( x="1" , y="2" )"#),
        (r#"{a="b"} | x="1" or y="2" , z="3""#, r#"{a="b"} | ( x="1" or ( y="2" , z="3" ) )"#),
        (r#"{a="b"} | (x="1" or y="2") and z!="3""#, r#"{a="b"} | ( ( x="1" or y="2" ) , z!="3" )"#),
        (
            r#"{a="b"} | d>1m30s | e<=5MB | f!=ip("10.0.0.0/8") | g=-1.5"#,
            r#"{a="b"} | d>1m30s | e<=5.0MB | f!=ip("10.0.0.0/8") | g==-1.5"#,
        ),
        (r#"{a="b"} | x=~"a.+b" | y!~"c|d""#, "{a=\"b\"} | x=~`a.+b` | y!~\"c|d\""),
    ]);
}

#[test]
fn a_range_may_stand_behind_the_selector_or_behind_the_pipeline() {
    let expected = r#"rate({a="b"} |= "x" | json[5m] offset 1m0s)"#;
    for text in [
        r#"rate({a="b"} |= "x" | json [5m] offset 1m)"#,
        r#"rate({a="b"}[5m] offset 1m |= "x" | json)"#,
        r#"rate(({a="b"} |= "x" | json)[5m] offset 1m)"#,
        r#"rate(({a="b"} |= "x" | json [5m] offset 1m))"#,
        r#"RATE ( ( ({a="b"}[5m] offset 1m |= "x" | json) ) )"#,
    ] {
        assert_eq!(canonical(text), expected, "{text}");
    }
    check(&[
        (
            r#"sum_over_time({a="b"} | unwrap bytes(x) | y>1 | __error__="" [1h30m])"#,
            r#"sum_over_time({a="b"} | unwrap bytes(x) | y>1 | __error__=""[1h30m])"#,
        ),
        (
            r#"sum_over_time({a="b"}[5m] offset -1h | unwrap duration_seconds(x))"#,
            r#"sum_over_time({a="b"} | unwrap duration_seconds(x)[5m] offset -1h0m0s)"#,
        ),
        (
            r#"quantile_over_time(0.99, {a="b"} | unwrap x [1d]) without (c)"#,
            r#"quantile_over_time(0.99,{a="b"} | unwrap x[1d]) without (c)"#,
        ),
    ]);
}

#[test]
fn operators_follow_their_precedence() {
    check(&[
        ("1 + 2 * 3 ^ 2", "19"),
        ("2 ^ 3 ^ 2", "512"),
        ("1 - 2 - 3", "-4"),
        ("-2 ^ 2", "4"),
        ("1 / 0", "NaN"),
        ("7 % 4 > 2", "1"),
        (
            r#"rate({a="b"}[1m]) + rate({a="c"}[1m]) * 2 > bool 5 or vector(0) unless vector(1)"#,
            r#"(((rate({a="b"}[1m]) + (rate({a="c"}[1m]) * 2)) > bool 5) or (vector(0.000000) unless vector(1.000000)))"#,
        ),
        (
            r#"rate({a="b"}[1m]) / on (x, y) group_left (z) rate({a="c"}[1m])"#,
            r#"(rate({a="b"}[1m]) / on (x,y) group_left (z) rate({a="c"}[1m]))"#,
        ),
        (
            r#"vector(1) * ignoring () group_right vector(2)"#,
            "(vector(1.000000) * ignoring () group_right vector(2.000000))",
        ),
        (r#"sum by (x) (rate({a="b"}[1m]))"#, r#"sum by (x)(rate({a="b"}[1m]))"#),
        (r#"topk without () (3, rate({a="b"}[1m]))"#, r#"topk without ()(3,rate({a="b"}[1m]))"#),
        (r#"sum(1 + rate({a="b"}[1m])) by (x, y)"#, r#"sum by (x,y)((1 + rate({a="b"}[1m])))"#),
        (
            r#"label_replace(rate({a="b"}[1m]), "x", "$1", "y", "(.*)")"#,
            r#"label_replace(rate({a="b"}[1m]),"x","$1","y","(.*)")"#,
        ),
    ]);
}

#[test]
fn errors_name_the_place_and_what_was_expected() {
    check(&[
        ("", "parse error at line 1, col 1: syntax error: unexpected $end"),
        ("{a=}", "parse error at line 1, col 4: syntax error: unexpected }, expecting STRING"),
        (
            "{a==\"b\"}",
            "parse error at line 1, col 3: syntax error: unexpected ==, expecting = or =~ or !~ or !=",
        ),
        ("{a=\"b\"", "parse error at line 1, col 7: syntax error: unexpected $end, expecting , or }"),
        ("{a=\"b\"}\n  | frob", "parse error at line 2, col 9: syntax error: unexpected $end"),
        ("{a=\"b\"} | unwrap x", "parse error at line 1, col 11: syntax error: unexpected unwrap"),
        ("rate({a=\"b\"})", "parse error at line 1, col 13: syntax error: unexpected )"),
        ("rate({a=\"b\"}[5])", "parse error at line 1, col 13: not a valid duration string: \"5\""),
        ("sum({a=\"b\"})", "parse error at line 1, col 12: syntax error: unexpected )"),
        ("-sum(vector(1))", "parse error at line 1, col 2: syntax error: unexpected SUM, expecting NUMBER"),
        ("{a=\"b\"} |= \"x", "parse error at line 1, col 12: literal not terminated"),
        ("{a=\"b\"} | x > \"y\"", "parse error at line 1, col 15: syntax error: unexpected STRING"),
        (
            "rate({a=\"b\"}[5m] offset)",
            "parse error at line 1, col 24: syntax error: unexpected ), expecting DURATION",
        ),
    ]);
}

#[test]
fn queries_that_make_no_sense_are_refused() {
    let selective = "parse error : queries require at least one regexp or equality matcher that does not have an \
                     empty-compatible value. For instance, app=~\".*\" does not meet this requirement, but app=~\".+\" will";
    check(&[
        ("{}", selective),
        (r#"{a!="b"}"#, selective),
        (r#"sum(rate({a=~".*"}[1m])) + vector(1)"#, selective),
        (r#"{a!=""}"#, r#"{a!=""}"#),
        (
            r#"count_over_time(1, {a="b"}[1m])"#,
            "parse error : parameter 1 not supported for operation count_over_time",
        ),
        (
            r#"quantile_over_time({a="b"} | unwrap x [1m])"#,
            "parse error : parameter required for operation quantile_over_time",
        ),
        (
            r#"count_over_time({a="b"} | unwrap x [1m])"#,
            "parse error : invalid aggregation count_over_time with unwrap",
        ),
        (r#"avg_over_time({a="b"}[1m])"#, "parse error : invalid aggregation avg_over_time without unwrap"),
        (r#"rate({a="b"}[1m]) by (x)"#, "parse error : grouping not allowed for rate aggregation"),
        (r#"topk(rate({a="b"}[1m]))"#, "parse error : parameter required for operation topk"),
        (r#"topk(0, rate({a="b"}[1m]))"#, "parse error : invalid parameter (must be greater than 0) topk(0"),
        (r#"topk(1.5, rate({a="b"}[1m]))"#, "parse error : invalid parameter topk(1.5,"),
        (r#"sum(2, rate({a="b"}[1m]))"#, "parse error : unsupported parameter for operation sum(2,"),
        (r#"sort by (x) (rate({a="b"}[1m]))"#, "parse error : sort and sort_desc doesn't allow grouping by "),
        (
            r#"approx_topk by (x) (2, rate({a="b"}[1m]))"#,
            "parse error : grouping not allowed for approx_topk aggregation",
        ),
        (
            r#"{a="b"} + 1"#,
            "parse error : unexpected type for left leg of binary operation (+): *syntax.MatchersExpr",
        ),
        (
            r#"1 + {a="b"} |= "c""#,
            "parse error : unexpected type for right leg of binary operation (+): *syntax.PipelineExpr",
        ),
        (
            "vector(1) or 1",
            "parse error : unexpected literal for right leg of logical/set binary operation (or): 1.000000",
        ),
        (
            "0b1010",
            r#"parse error : unable to parse literal as a float: strconv.ParseFloat: parsing "0b1010": invalid syntax"#,
        ),
        (
            r#"{a="b"} | x > 0o17"#,
            r#"parse error : unable to parse literal as a float: strconv.ParseFloat: parsing "0o17": invalid syntax"#,
        ),
        (
            r#"{a="b"} | regexp `(?P<x>.)(?P<y>.)(?P<x>.)`"#,
            "parse error : invalid regexp parser: duplicate extracted label name 'x'",
        ),
        (
            r#"{a="b"} | regexp "x""#,
            "parse error : invalid regexp parser: at least one named capture must be supplied",
        ),
        (
            r#"{a="b"} | pattern "x""#,
            "parse error : invalid pattern parser: at least one capture is required",
        ),
        (
            "vector(0x10)",
            "parse error : unable to parse vectorExpr as a float: strconv.ParseFloat: parsing \"0x10\": invalid syntax",
        ),
    ]);
}

#[test]
fn selectors_alone_may_accept_everything() {
    let limits = QueryLimits::default();
    assert_eq!(parse_selector("{}", &limits).expect("a selector").len(), 0);
    assert_eq!(parse_selector(r#"{a!="b"}"#, &limits).expect("a selector").len(), 1);
    assert!(parse_selector(r#"{a="b"} |= "c""#, &limits).is_err());
    assert!(parse_selector("1", &limits).is_err());
}

#[test]
fn depth_and_length_are_bounded_without_overflowing_the_stack() {
    let limits = QueryLimits::default();
    let deep = 60_000;
    for text in [
        format!("{}1", "(".repeat(deep)),
        format!("{}{{a=\"b\"}}", "(".repeat(deep)),
        format!("rate({}{{a=\"b\"}}", "(".repeat(deep)),
        format!("{{a=\"b\"}} | {}x=1", "(".repeat(deep)),
        format!("{{a=\"b\"}} | x=1{}", ",x=1".repeat(deep / 4)),
        format!("vector(1){}", "+vector(1)".repeat(deep / 10)),
        format!("vector(1){}", "^vector(1)".repeat(deep / 10)),
        "sum(".repeat(deep / 4),
    ] {
        let error = parse(&text, &limits).expect_err("too deep").to_string();
        assert!(error.ends_with("query nests deeper than the limit of 256"), "{error}");
    }
    let long = format!("{{a=\"{}\"}}", "x".repeat(131_072));
    let error = parse(&long, &limits).expect_err("too long").to_string();
    assert_eq!(error, "parse error : input size too long (131078 > 131072)");
    let allowed = format!("{}1{}", "(".repeat(200), ")".repeat(200));
    assert!(parse(&allowed, &limits).is_ok());
}
