//! The operations and targets in a summary.

use crate::query_text::{Dialect, MAX_SUMMARY, summarize};

fn check(cases: &[(&str, &str)]) {
    for (query, summary) in cases {
        assert_eq!(summarize(query), *summary, "{query}");
    }
}

#[test]
fn a_summary_names_operations_and_targets_in_order() {
    check(&[
        ("select * from articles where a = 1", "select articles"),
        (
            "SELECT * FROM a x, b AS y, c WHERE x.i = y.i",
            "SELECT a b c",
        ),
        (
            "SELECT * FROM db.articles LEFT JOIN authors ON 1 = 1",
            "SELECT db.articles authors",
        ),
        (
            "SELECT * FROM (SELECT * FROM inner_table) t",
            "SELECT SELECT inner_table",
        ),
        ("UPDATE t SET a = 1", "UPDATE t"),
        ("DELETE FROM t WHERE a = 'from x'", "DELETE t"),
        ("CREATE TABLE IF NOT EXISTS t (a INT)", "CREATE TABLE t"),
        ("SELECT * FROM \"song list\"", "SELECT \"song list\""),
        (
            "WITH r AS (SELECT * FROM a) SELECT * FROM r",
            "SELECT a SELECT r",
        ),
        ("SELECT 1; DELETE FROM t", "SELECT DELETE t"),
        ("nonsense", ""),
        ("", ""),
    ]);
}

#[test]
fn from_in_an_expression_names_no_table() {
    check(&[
        (
            "SELECT EXTRACT(YEAR FROM created_at) FROM articles",
            "SELECT articles",
        ),
        (
            "SELECT trim(BOTH ' ' FROM x) FROM articles",
            "SELECT articles",
        ),
        (
            "SELECT trim(LEADING FROM x) FROM articles",
            "SELECT articles",
        ),
        (
            "SELECT overlay(x PLACING 'y' FROM 2) FROM articles",
            "SELECT articles",
        ),
        (
            "SELECT substring(a FROM b FOR 3) FROM articles",
            "SELECT articles",
        ),
        (
            "SELECT a IS DISTINCT FROM b, c IS NOT DISTINCT FROM d FROM articles WHERE e IS DISTINCT FROM f",
            "SELECT articles",
        ),
        ("SELECT DISTINCT FROM articles", "SELECT articles"),
        ("SELECT t.from, t.select FROM articles t", "SELECT articles"),
        (
            "SELECT replace(a, 'x', 'y'), truncate(b, 2), insert(c, 1, 2, 'd') FROM articles",
            "SELECT articles",
        ),
        (
            "SELECT a FROM articles WHERE (replace(a, 'x', 'y') = 'z')",
            "SELECT articles",
        ),
        ("UPDATE t SET a = extract(year FROM b) FROM u", "UPDATE t u"),
    ]);
}

#[test]
fn every_table_of_a_list_is_named() {
    check(&[
        ("SELECT * FROM t1 JOIN t2 USING (id), t3", "SELECT t1 t2 t3"),
        ("SELECT * FROM (t1 JOIN t2 ON a = b), t3", "SELECT t1 t2 t3"),
        (
            "SELECT * FROM ((t1 JOIN t2 USING (a)) JOIN t3)",
            "SELECT t1 t2 t3",
        ),
        (
            "SELECT * FROM articles AS a (c1, c2), people",
            "SELECT articles people",
        ),
        (
            "SELECT * FROM p, (SELECT 1) q, people r",
            "SELECT p SELECT people",
        ),
        (
            "SELECT * FROM a, LATERAL (SELECT * FROM b) x, LATERAL f(a.i) y, c",
            "SELECT a SELECT b f c",
        ),
        (
            "SELECT * FROM ONLY parents, ONLY (others)",
            "SELECT parents others",
        ),
        (
            "SELECT * FROM generate_series(1, 10) n, TABLE(f(2)) m, t",
            "SELECT generate_series t",
        ),
        (
            "SELECT * FROM (VALUES (1, 2), (3, 4)) v (a, b), t",
            "SELECT t",
        ),
        ("SELECT * FROM a CROSS APPLY f(a.i), b", "SELECT a f b"),
        ("SELECT * FROM a WITH (NOLOCK), b", "SELECT a b"),
        ("SELECT * FROM a FOR SYSTEM_TIME AS OF 'x', b", "SELECT a b"),
        ("SELECT * FROM a TABLESAMPLE (10), b", "SELECT a b"),
        (
            "SELECT * FROM t LATERAL VIEW explode(x) y AS a, b",
            "SELECT t",
        ),
        ("SELECT * FROM t ARRAY JOIN tags", "SELECT t"),
        ("SELECT * FROM a.b.c, d..e", "SELECT a.b.c d..e"),
        ("SELECT * FROM `a b`.`c`", "SELECT `a b`.`c`"),
        ("SELECT a, b FROM t ORDER BY c, d LIMIT 5, 6", "SELECT t"),
        (
            "SELECT * FROM t WINDOW w AS (ORDER BY a), v AS (ORDER BY b)",
            "SELECT t",
        ),
        ("SELECT * FROM ?, t", "SELECT t"),
        ("SELECT * FROM @list, t", "SELECT t"),
        ("FROM t SELECT a", "t SELECT"),
    ]);
}

#[test]
fn a_lock_names_no_table() {
    check(&[
        ("SELECT * FROM t FOR UPDATE", "SELECT t"),
        ("SELECT * FROM t, u FOR UPDATE OF t, u NOWAIT", "SELECT t u"),
        ("SELECT * FROM t FOR SHARE", "SELECT t"),
        ("SELECT * FROM t LOCK IN SHARE MODE", "SELECT t"),
    ]);
}

#[test]
fn a_set_operation_is_one_operation() {
    check(&[
        (
            "SELECT a FROM t UNION ALL SELECT b FROM u EXCEPT SELECT c FROM v",
            "SELECT t u v",
        ),
        ("(SELECT a FROM t) UNION (SELECT b FROM u)", "SELECT t u"),
        ("SELECT 1 UNION SELECT a FROM t", "SELECT t"),
        (
            "SELECT a FROM t UNION SELECT b FROM (SELECT c FROM u) x",
            "SELECT t SELECT u",
        ),
        ("SELECT * EXCEPT (a) FROM t", "SELECT t"),
        ("SELECT minus FROM t", "SELECT t"),
    ]);
}

#[test]
fn writes_name_their_tables() {
    check(&[
        ("INSERT INTO t (a) VALUES (1)", "INSERT t"),
        ("INSERT INTO t SELECT * FROM u", "INSERT t SELECT u"),
        (
            "INSERT OVERWRITE TABLE t SELECT * FROM u",
            "INSERT t SELECT u",
        ),
        ("INSERT OVERWRITE t SELECT * FROM u", "INSERT t SELECT u"),
        ("INSERT OR IGNORE INTO t VALUES (1)", "INSERT t"),
        ("INSERT IGNORE t VALUES (1)", "INSERT t"),
        (
            "INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET a = 2",
            "INSERT t",
        ),
        (
            "INSERT INTO t WITH a AS (SELECT * FROM b) SELECT * FROM a",
            "INSERT t SELECT b SELECT a",
        ),
        ("REPLACE INTO t VALUES (1)", "REPLACE t"),
        ("UPSERT INTO t VALUES (1)", "UPSERT t"),
        ("UPDATE ONLY t SET a = 1", "UPDATE t"),
        (
            "UPDATE t SET a = 1, b = 2 FROM u, v WHERE 1 = 1",
            "UPDATE t u v",
        ),
        ("UPDATE a JOIN b USING (id) SET c = 1", "UPDATE a b"),
        ("DELETE FROM t USING u, v WHERE 1 = 1", "DELETE t u v"),
        ("DELETE a FROM b a JOIN c USING (id)", "DELETE b c"),
        ("DELETE a.*, c FROM b a, c", "DELETE b c"),
        ("DELETE t WHERE a IN (SELECT a FROM u)", "DELETE t SELECT u"),
        ("DELETE TOP (10) FROM t", "DELETE t"),
        (
            "MERGE INTO t USING u ON t.a = u.a WHEN MATCHED THEN UPDATE SET b = 1 WHEN NOT MATCHED THEN INSERT (a) VALUES (1)",
            "MERGE t u",
        ),
        (
            "MERGE t AS x USING (SELECT * FROM u) s ON 1 = 1 WHEN MATCHED THEN DELETE",
            "MERGE t SELECT u",
        ),
        (
            "WITH gone AS (DELETE FROM t RETURNING *) INSERT INTO u SELECT * FROM gone",
            "DELETE t INSERT u SELECT gone",
        ),
        ("TRUNCATE TABLE users", "TRUNCATE TABLE users"),
        ("TRUNCATE users, groups", "TRUNCATE users groups"),
        ("SELECT a INTO TEMP u FROM t", "SELECT u t"),
        ("SELECT a INTO OUTFILE '/x' FROM t", "SELECT t"),
    ]);
}

#[test]
fn definitions_name_their_object() {
    check(&[
        ("CREATE UNIQUE INDEX i ON t (a)", "CREATE INDEX i"),
        (
            "CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (a)",
            "CREATE INDEX i",
        ),
        ("CREATE INDEX ON t (a)", "CREATE INDEX t"),
        (
            "CREATE OR REPLACE VIEW v AS SELECT * FROM t",
            "CREATE VIEW v",
        ),
        (
            "CREATE MATERIALIZED VIEW v AS SELECT * FROM t",
            "CREATE VIEW v",
        ),
        (
            "CREATE TEMP TABLE t AS SELECT * FROM u",
            "CREATE TABLE t SELECT u",
        ),
        (
            "CREATE TABLE t AS WITH a AS (SELECT * FROM b) SELECT * FROM a",
            "CREATE TABLE t SELECT b SELECT a",
        ),
        (
            "CREATE DEFINER = 'a'@'b' PROCEDURE p() BEGIN DELETE FROM t; DELETE FROM u; END",
            "CREATE PROCEDURE p",
        ),
        ("DROP TABLE IF EXISTS a, b CASCADE", "DROP TABLE a b"),
        (
            "ALTER TABLE ONLY t ADD COLUMN c INT; SELECT 1 FROM u",
            "ALTER TABLE t SELECT u",
        ),
        ("ALTER SESSION SET a = 1", "ALTER SESSION"),
        (
            "CREATE USER 'secret'@'host' IDENTIFIED BY hunter2",
            "CREATE USER",
        ),
    ]);
}

#[test]
fn other_commands_are_named() {
    check(&[
        ("REVOKE SELECT ON users FROM bob", "REVOKE users"),
        (
            "GRANT SELECT (a), UPDATE ON TABLE users TO bob",
            "GRANT users",
        ),
        ("GRANT admin TO bob", "GRANT"),
        ("DESCRIBE articles", "DESCRIBE articles"),
        ("DESC articles", "DESC articles"),
        ("TABLE articles", "TABLE articles"),
        ("EXPLAIN SELECT * FROM articles", "EXPLAIN SELECT articles"),
        (
            "EXPLAIN (ANALYZE, BUFFERS) SELECT * FROM t",
            "EXPLAIN SELECT t",
        ),
        (
            "EXPLAIN ANALYZE INSERT INTO t VALUES (1)",
            "EXPLAIN INSERT t",
        ),
        ("EXPLAIN FORMAT = JSON DELETE FROM t", "EXPLAIN DELETE t"),
        (
            "EXPLAIN PLAN FOR WITH a AS (SELECT 1) SELECT * FROM a",
            "EXPLAIN SELECT SELECT a",
        ),
        ("SHOW TABLES", "SHOW TABLES"),
        ("SHOW FULL COLUMNS FROM t FROM d", "SHOW COLUMNS t"),
        ("SHOW CREATE TABLE t", "SHOW CREATE TABLE t"),
        ("USE db", "USE db"),
        ("CALL proc(1, 'x')", "CALL proc"),
        ("{call some_stored_procedure}", "call some_stored_procedure"),
        ("{? = call p(?)}", "call p"),
        ("EXEC @r = dbo.p 1, 'x'", "EXEC dbo.p"),
        ("EXECUTE IMMEDIATE 'SELECT 1'", "EXECUTE"),
        ("PREPARE p FROM 'SELECT secret'", "PREPARE"),
        ("BEGIN", "BEGIN"),
        ("START TRANSACTION", "START TRANSACTION"),
        ("BEGIN; UPDATE t SET a = 1; COMMIT", "BEGIN UPDATE t COMMIT"),
        ("SAVEPOINT sp_4711", "SAVEPOINT"),
        ("LOCK TABLE t IN EXCLUSIVE MODE", "LOCK t"),
        ("COPY t FROM '/tmp/x'", "COPY t"),
        ("COPY (SELECT * FROM t) TO '/tmp/x'", "COPY SELECT t"),
        ("SET SESSION x = 'secret'", "SET"),
        ("ANALYZE TABLE t", "ANALYZE t"),
    ]);
}

#[test]
fn a_long_summary_is_cut_between_names() {
    let tables: Vec<_> = (0..100).map(|n| format!("table_{n}")).collect();
    let summary = summarize(&format!("SELECT * FROM {}", tables.join(", ")));
    assert!(
        summary.len() <= MAX_SUMMARY && summary.len() > 240,
        "{}",
        summary.len()
    );
    assert!(
        tables
            .iter()
            .any(|table| summary.ends_with(&format!(" {table}")))
    );
}

#[test]
fn a_name_in_single_quotes_may_be_data() {
    assert_eq!(summarize("SELECT * FROM 'artists', t"), "SELECT t");
    assert_eq!(
        Dialect::MySql.summarize("SELECT * FROM \"a\", t"),
        "SELECT t"
    );
}

#[test]
fn a_command_is_its_own_summary() {
    assert_eq!(Dialect::Command.summarize("SET key secret"), "SET");
}
