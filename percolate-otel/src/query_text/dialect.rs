//! The dialects of query text, as far as they differ in what a literal is.

/// How query text quotes its literals, names and comments.
///
/// Server settings that change the quoting are assumed to have their defaults: backslash escapes
/// and double-quoted strings in MySQL, standard strings in PostgreSQL, and quoted identifiers in
/// SQL Server. Use [`Any`](Self::Any) for a server with other settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Dialect {
    /// An unknown dialect of SQL. Text that two dialects read differently is replaced.
    #[default]
    Any,
    /// Standard SQL, as in Apache DataFusion, DB2, Derby, H2, HSQLDB and Trino: double quotes are
    /// for names, and a backslash is an ordinary character.
    Ansi,
    /// MySQL and MariaDB: double quotes are for strings, which may contain backslash escapes.
    MySql,
    /// PostgreSQL: dollar quotes, `E'…'` with backslash escapes, nested comments.
    Postgres,
    /// Microsoft SQL Server: names in brackets, money such as `$1.50`, nested comments.
    SqlServer,
    /// Oracle Database: `q'[…]'`, and comments that do not nest.
    Oracle,
    /// Commands that are not SQL, such as those of Redis: a word and its arguments. All arguments
    /// are replaced.
    Command,
}

impl Dialect {
    /// Returns the dialect of a database system, from the value of `db.system.name`.
    ///
    /// A system whose dialect is not listed, or differs between versions, has
    /// [`Any`](Self::Any).
    ///
    /// # Examples
    /// ```
    /// use percolate_otel::query_text::Dialect;
    ///
    /// assert_eq!(Dialect::of_system("mariadb"), Dialect::MySql);
    /// assert_eq!(Dialect::of_system("sqlite"), Dialect::Any);
    /// ```
    pub fn of_system(name: &str) -> Self {
        match name {
            "derby" | "h2database" | "hsqldb" | "ibm.db2" | "trino" => Self::Ansi,
            "mariadb" | "mysql" => Self::MySql,
            "postgresql" => Self::Postgres,
            "microsoft.sql_server" => Self::SqlServer,
            "oracle.db" => Self::Oracle,
            "memcached" | "redis" => Self::Command,
            _ => Self::Any,
        }
    }
}
