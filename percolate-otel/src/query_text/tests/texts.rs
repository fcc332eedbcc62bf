//! Sanitised text in the default dialect.

use crate::query_text::{Dialect, MAX_TEXT, sanitize};

fn check(cases: &[(&str, &str)]) {
    for (query, text) in cases {
        assert_eq!(sanitize(query), *text, "{query}");
    }
}

#[test]
fn no_literal_of_any_form_is_left() {
    check(&[
        (
            "SELECT 1, -2.5, 1e9, 0xFF, 'a', N'b', X'0a', E'c\\n'",
            "SELECT ?, ?, ?, ?, ?, ?, ?, ?",
        ),
        ("SELECT $$secret$$, $tag$secret$tag$", "SELECT ?, ?"),
        (
            "SELECT DATE '2020-01-01', INTERVAL '1' DAY",
            "SELECT DATE ?, INTERVAL ? DAY",
        ),
        (
            "SELECT * FROM t WHERE ok = TRUE OR ok = false",
            "SELECT * FROM t WHERE ok = ? OR ok = ?",
        ),
        ("SELECT 'it''s' FROM t", "SELECT ? FROM t"),
        (
            "SELECT b'01', _utf8'x', U&'d\\0061', R'x'",
            "SELECT ?, ?, ?, ?",
        ),
        ("SELECT DATE'2020-01-01'", "SELECT DATE?"),
        ("SELECT '2'::int", "SELECT ?::int"),
        (
            "SELECT * FROM t WHERE a = $1 AND b = ? AND c = :name AND d = @p AND e = %s",
            "SELECT * FROM t WHERE a = $1 AND b = ? AND c = :name AND d = @p AND e = %s",
        ),
        (
            "a IN ( 1 , 'b',-3 )  AND c NOT IN(4)",
            "a IN (?)  AND c NOT IN(?)",
        ),
        (
            "a IN (SELECT b FROM c WHERE d = 5)",
            "a IN (SELECT b FROM c WHERE d = ?)",
        ),
        ("a IN (1, b, 2)", "a IN (?, b, ?)"),
        ("a IN (?, ?, ?)", "a IN (?)"),
        ("a IN ($1, 'two')", "a IN ($1, ?)"),
        ("a in /* x */ (1)", "a in  (?)"),
        (
            "id = 123e4567-e89b-12d3-a456-426614174000 AND a1b2c3d4-e89b-12d3-a456-426614174000",
            "id = ? AND ?",
        ),
        ("", ""),
        (" \n ", ""),
    ]);
}

#[test]
fn numbers_have_many_forms() {
    for number in [
        "0",
        "0XdeadBEEF",
        "0b11",
        "0o7",
        "1_000",
        "8_675_309",
        "5L",
        "1e",
        "1e5",
        "1E-5",
        ".5",
        "-.5",
        "1.",
        "1.5e+3",
        "0x1G",
        "12h30m",
        "0x1p-3",
        "2020-01-01",
        "1.2.3",
        "99+100",
        "$4711",
        "$42.50",
    ] {
        let text = sanitize(&format!("SELECT {number} FROM t"));
        assert!(
            text.strip_prefix("SELECT ")
                .and_then(|text| text.strip_suffix(" FROM t"))
                .is_some_and(|text| text.chars().all(|c| c == '?')),
            "{number}: {text}"
        );
    }
}

#[test]
fn comments_are_removed_and_white_space_is_kept() {
    check(&[
        (
            "SELECT /* secret */ a -- secret\nFROM t",
            "SELECT  a \nFROM t",
        ),
        ("SELECT/**/a", "SELECT a"),
        ("-- secret\n  SELECT a", "SELECT a"),
        ("SELECT\ta\r\n\r\nFROM t  ", "SELECT\ta\r\n\r\nFROM t"),
        ("SELECT a -- secret\r\nFROM t", "SELECT a \r\nFROM t"),
        ("SELECT -/**/-secret", "SELECT - -secret"),
    ]);
}

#[test]
fn text_without_a_certain_reading_is_replaced_to_the_end() {
    check(&[
        ("SELECT 'unfinished secret", "SELECT ?"),
        ("SELECT 'a' FROM \"unfinished secret", "SELECT ? FROM ?"),
        ("SELECT $$unfinished secret", "SELECT ?"),
        ("SELECT a /* unfinished secret", "SELECT a ?"),
        ("SELECT `unfinished secret", "SELECT ?"),
        (r"SELECT 'a\'secret' FROM t", "SELECT ?"),
        (r#"SELECT "a\"secret" FROM t"#, "SELECT ?"),
        (r"SELECT E'a\'secret'", "SELECT ?"),
        ("SELECT q'[it's secret]' FROM t", "SELECT ?"),
        ("SELECT nq'{it's secret}'", "SELECT ?"),
        ("SELECT [it's secret] FROM t WHERE a = 'b'", "SELECT ?"),
        ("SELECT ARRAY['secret']", "SELECT ARRAY?"),
        ("SELECT '''it's secret''' FROM t", "SELECT ?"),
        ("SELECT \"\"\"it\" secret\"\"\" FROM t", "SELECT ?"),
        ("SELECT 1 -- a\rsecret\n, b", "SELECT ? ?"),
        ("SELECT a --'\nsecret'", "SELECT a ?"),
        ("SELECT a # it's\nsecret'", "SELECT a ?"),
        ("SELECT a // it's\nsecret'", "SELECT a ?"),
        ("SELECT /* a /* b */ secret */ c", "SELECT ?"),
        ("SELECT /*! 'a*/ secret' */ b", "SELECT ?"),
        ("SELECT \\secret", "SELECT ?"),
        ("SELECT \u{2018}secret\u{2019}", "SELECT ?"),
        ("SELECT a\0secret", "SELECT a?"),
        ("SELECT 'it's secret' FROM t", "SELECT ?"),
        ("SELECT \"it\"s secret\" FROM t", "SELECT ?"),
        ("SELECT 1$$my secret$$", "SELECT ?"),
        ("SELECT a$$my secret$$", "SELECT ?"),
        ("SELECT `it's secret` FROM t", "SELECT ?"),
    ]);
}

#[test]
fn readings_that_end_at_the_same_place_are_replaced_alone() {
    check(&[
        ("SELECT \"secret\" FROM t", "SELECT ? FROM t"),
        ("SELECT \"a\"\"secret\" FROM t", "SELECT ? FROM t"),
        ("SELECT \"\"\"secret\"\"\" FROM t", "SELECT ? FROM t"),
        ("SELECT '''secret''' FROM t", "SELECT ? FROM t"),
        (r"SELECT 'C:\secret' FROM t", "SELECT ? FROM t"),
        (r"SELECT 'C:\\' FROM t", "SELECT ? FROM t"),
        ("SELECT q'[secret]', 1 FROM t", "SELECT ?, ? FROM t"),
        (
            "SELECT [Order Details], a[1] FROM t",
            "SELECT [Order Details], a[?] FROM t",
        ),
        (
            "SELECT `a b`, `c` FROM `my-db.t`",
            "SELECT `a b`, `c` FROM `my-db.t`",
        ),
        ("SELECT a --b 5\n, c", "SELECT a \n, c"),
        ("SELECT a # secret\n, c", "SELECT a ?\n, c"),
        ("SELECT a // secret\n, c", "SELECT a ?\n, c"),
        ("SELECT /*!50000 secret */ a", "SELECT  a"),
        ("SELECT /*+ INDEX(t 'secret') */ a", "SELECT  a"),
    ]);
}

#[test]
fn passwords_are_replaced_with_or_without_quotes() {
    check(&[
        (
            "CREATE USER u PASSWORD 'secret'",
            "CREATE USER u PASSWORD ?",
        ),
        (
            "ALTER ROLE u WITH ENCRYPTED PASSWORD secret",
            "ALTER ROLE u WITH ENCRYPTED PASSWORD ?",
        ),
        (
            "CREATE USER u IDENTIFIED BY se!cret;",
            "CREATE USER u IDENTIFIED BY ?",
        ),
        (
            "CREATE USER u IDENTIFIED BY \"Secret\" ACCOUNT LOCK",
            "CREATE USER u IDENTIFIED BY ? ACCOUNT LOCK",
        ),
        (
            "CREATE USER u IDENTIFIED BY PASSWORD 'secret', v IDENTIFIED WITH x BY 'secret'",
            "CREATE USER u IDENTIFIED BY PASSWORD ?, v IDENTIFIED WITH x BY ?",
        ),
        (
            "ALTER USER u IDENTIFIED BY VALUES 'secret'",
            "ALTER USER u IDENTIFIED BY VALUES ?",
        ),
        (
            "ALTER USER u IDENTIFIED BY password",
            "ALTER USER u IDENTIFIED BY ?",
        ),
        (
            "ALTER USER u IDENTIFIED BY 'x' REPLACE secret",
            "ALTER USER u IDENTIFIED BY ? REPLACE ?",
        ),
        (
            "GRANT ALL ON t TO u IDENTIFIED BY secret",
            "GRANT ALL ON t TO u IDENTIFIED BY ?",
        ),
        ("SET PASSWORD = secret", "SET PASSWORD = ?"),
        (
            "SET PASSWORD FOR 'u'@'h' = secret",
            "SET PASSWORD FOR ?@? = ?",
        ),
        (
            "ALTER LOGIN u WITH PASSWORD = 'x' OLD_PASSWORD = secret",
            "ALTER LOGIN u WITH PASSWORD = ? OLD_PASSWORD = ?",
        ),
        ("ALTER USER u PASSWORD NULL", "ALTER USER u PASSWORD NULL"),
        (
            "ALTER USER u IDENTIFIED BY $1",
            "ALTER USER u IDENTIFIED BY $1",
        ),
        (
            "SELECT password, a FROM users ORDER BY b",
            "SELECT password, a FROM users ORDER BY b",
        ),
        (
            "UPDATE users SET password = hash(a)",
            "UPDATE users SET password = hash(a)",
        ),
    ]);
    let oracle = Dialect::Oracle.sanitize("CREATE USER u IDENTIFIED BY \"Secret 1\" ACCOUNT LOCK");
    assert_eq!(oracle, "CREATE USER u IDENTIFIED BY ? ACCOUNT LOCK");
}

#[test]
fn arguments_of_procedures_are_replaced_with_or_without_quotes() {
    check(&[
        (
            "EXEC dbo.p secret, @a = secret, @b = @c OUTPUT",
            "EXEC dbo.p ?, @a = ?, @b = @c OUTPUT",
        ),
        (
            "EXEC @r = p [secret], NULL, DEFAULT",
            "EXEC @r = p [?], NULL, DEFAULT",
        ),
        ("EXEC p SELECT a FROM t", "EXEC p SELECT a FROM t"),
        ("EXEC p 1 SELECT a FROM t", "EXEC p ? SELECT a FROM t"),
        ("EXECUTE s USING @a, @b", "EXECUTE s USING @a, @b"),
        ("EXECUTE plan(1, a)", "EXECUTE plan(?, a)"),
        (
            "SELECT a; EXEC p secret; SELECT b",
            "SELECT a; EXEC p ?; SELECT b",
        ),
    ]);
    let brackets = Dialect::SqlServer.sanitize("EXEC [p] [secret], \"secret\"");
    assert_eq!(brackets, "EXEC [p] ?, ?");
}

#[test]
fn rows_after_a_statement_are_replaced() {
    check(&[
        (
            "COPY t FROM STDIN WITH (FORMAT csv);\n1,secret\n",
            "COPY t FROM STDIN WITH (FORMAT csv);\n?",
        ),
        ("COPY t FROM STDIN;", "COPY t FROM STDIN;"),
        (
            "INSERT INTO t FORMAT CSV 1,secret",
            "INSERT INTO t FORMAT CSV ?",
        ),
        (
            "INSERT INTO t FORMAT JSONEachRow {a:secret}",
            "INSERT INTO t FORMAT JSONEachRow ?",
        ),
        (
            "INSERT INTO t (format, csv) VALUES (1, 'x')",
            "INSERT INTO t (format, csv) VALUES (?, ?)",
        ),
    ]);
}

#[test]
fn a_long_text_is_cut_after_a_token() {
    let query = format!("SELECT {}", "column_name, ".repeat(1000));
    let text = sanitize(&query);
    assert!(
        text.len() > MAX_TEXT - 20 && text.len() <= MAX_TEXT,
        "{}",
        text.len()
    );
    assert!(
        text.ends_with("column_name,") || text.ends_with("column_name"),
        "{text}"
    );
    assert!(query.starts_with(&text));
}
