//! What each dialect reads in its own way.

use Dialect::{Ansi, Any, Command, MySql, Oracle, Postgres, SqlServer};

use crate::query_text::Dialect;

#[track_caller]
fn check(dialect: Dialect, cases: &[(&str, &str)]) {
    for (query, text) in cases {
        assert_eq!(dialect.sanitize(query), *text, "{dialect:?}: {query}");
    }
}

#[test]
fn systems_have_their_dialects() {
    for (system, dialect) in [
        ("mysql", MySql),
        ("mariadb", MySql),
        ("postgresql", Postgres),
        ("microsoft.sql_server", SqlServer),
        ("oracle.db", Oracle),
        ("trino", Ansi),
        ("redis", Command),
        ("rocksdb", Any),
        ("other_sql", Any),
        ("", Any),
    ] {
        assert_eq!(Dialect::of_system(system), dialect, "{system}");
    }
    assert_eq!(Dialect::default(), Any);
}

#[test]
fn an_apostrophe_in_a_string_has_no_certain_reading() {
    for dialect in [Any, Ansi, MySql, Postgres, SqlServer, Oracle] {
        check(dialect, &[("SELECT a, 'O'Secret' FROM t", "SELECT a, ?")]);
    }
}

#[test]
fn ansi_has_names_in_double_quotes_and_ordinary_backslashes() {
    check(
        Ansi,
        &[
            (
                r#"SELECT "a ""b""" FROM t WHERE c = 'd\' AND e = 'f'"#,
                r#"SELECT "a ""b""" FROM t WHERE c = ? AND e = ?"#,
            ),
            ("SELECT a[1], [2, 'x']", "SELECT a[?], [?, ?]"),
            ("SELECT $$it's$$, a", "SELECT ?, a"),
            (r"SELECT E'a\'secret', b", "SELECT ?"),
            ("SELECT a # it's\n b'", "SELECT a ?"),
        ],
    );
}

#[test]
fn mysql_has_backslash_escapes_and_strings_in_double_quotes() {
    check(
        MySql,
        &[
            (
                r#"SELECT 'a\'b', "c\"d", 'e\\' FROM t"#,
                "SELECT ?, ?, ? FROM t",
            ),
            ("SELECT `it's` FROM `a``b`", "SELECT `it's` FROM `a``b`"),
            ("SELECT a # it's\n, b", "SELECT a \n, b"),
            (
                "SELECT a--1, b--c, d -- it's\n, e",
                "SELECT a-?, b--c, d \n, e",
            ),
            ("SELECT a--# secret\n", "SELECT a?"),
            ("SELECT /* /* it's */ a", "SELECT  a"),
            ("SELECT /*! 'a */ secret' */", "SELECT ?"),
            ("SELECT _utf8mb4'x', x'0a', n'y'", "SELECT ?, ?, ?"),
            (
                "SELECT $abc, d$e$f, $g$h$g$ FROM t",
                "SELECT $abc, d$e$f, ?",
            ),
        ],
    );
}

#[test]
fn postgres_has_dollar_quotes_and_nested_comments() {
    check(
        Postgres,
        &[
            (
                "SELECT $$it's$$, $t$ $$ it's $t$, $1, $12345 FROM \"a\"",
                "SELECT ?, ?, $1, $12345 FROM \"a\"",
            ),
            (r"SELECT E'a\'b', 'c\', d FROM t", "SELECT ?, ?, d FROM t"),
            ("SELECT E'a' -- b\n 'c\\' secret' FROM t", "SELECT ? FROM t"),
            ("SELECT E'a' , b FROM t", "SELECT ? , b FROM t"),
            ("SELECT /* a /* it's */ b */ c", "SELECT  c"),
            ("SELECT a #> 'b', c # 5", "SELECT a #> ?, c # ?"),
            (
                "SELECT ARRAY['a', 'b'], c[1:2]",
                "SELECT ARRAY[?, ?], c[?:?]",
            ),
            ("SELECT U&\"d\\0061t\"", "SELECT U&\"d\\0061t\""),
            ("SELECT a--b it's\n, c", "SELECT a\n, c"),
            ("SELECT a->'b'->>0", "SELECT a->?->>?"),
        ],
    );
}

#[test]
fn sql_server_has_brackets_and_money() {
    check(
        SqlServer,
        &[
            (
                "SELECT [it's], [a]]b] FROM #temp, ##all WHERE c = 'd'",
                "SELECT [it's], [a]]b] FROM #temp, ##all WHERE c = ?",
            ),
            (
                "SELECT $42, $1,234.50, -$3 FROM t",
                "SELECT ?, ?, -? FROM t",
            ),
            (r"SELECT 'C:\', @p FROM t", "SELECT ?, @p FROM t"),
            ("SELECT /* /* it's */ */ a", "SELECT  a"),
        ],
    );
}

#[test]
fn oracle_has_its_own_quotes() {
    check(
        Oracle,
        &[
            (
                "SELECT q'[it's]', nQ'!it's!', Q'(a)' FROM v$session",
                "SELECT ?, ?, ? FROM v$session",
            ),
            ("SELECT q'[secret", "SELECT ?"),
            (
                "SELECT :1, :name, a#b FROM t",
                "SELECT :1, :name, a#b FROM t",
            ),
            ("SELECT /* /* it's */ a", "SELECT  a"),
            (r"SELECT 'a\', b FROM t", "SELECT ?, b FROM t"),
        ],
    );
}

#[test]
fn the_arguments_of_a_command_are_replaced() {
    check(
        Command,
        &[
            ("SET key secret", "SET ?"),
            ("  GET key", "GET ?"),
            ("PING", "PING"),
            ("secret1", "?"),
            ("\"secret\"", "?"),
        ],
    );
}
