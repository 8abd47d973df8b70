//! Every statement of the domain. A test prepares each of them on a migrated database, which is what a compile-time
//! check would do, without a server or extra files to build.

/// Where one link leads.
pub const TARGET: &str = "select target from links where slug = $1";

/// One link with all its clicks.
pub const READ: &str = "
    select slug, target,
           (select coalesce(sum(count), 0)::bigint from clicks where clicks.slug = links.slug) as clicks,
           to_char(created_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') as created_at,
           to_char(updated_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') as updated_at
    from links
    where slug = $1";

/// One page of the links that match: `$1` text to find, `$2` links a page, `$3` links to skip.
pub const LIST: &str = "
    select slug, target,
           (select coalesce(sum(count), 0)::bigint from clicks where clicks.slug = links.slug) as clicks,
           to_char(created_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') as created_at,
           to_char(updated_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') as updated_at
    from links
    where strpos(slug, lower($1)) > 0 or strpos(lower(target), lower($1)) > 0
    order by slug
    limit $2 offset $3";

/// How many links match.
pub const TOTAL: &str = "
    select count(*) from links where strpos(slug, lower($1)) > 0 or strpos(lower(target), lower($1)) > 0";

/// All links. The sub-select lets the first row leave before the last is read, which a join with `group by` may not.
pub const EXPORT: &str = "
    select slug, target,
           (select coalesce(sum(count), 0)::bigint from clicks where clicks.slug = links.slug) as clicks,
           to_char(created_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') as created_at,
           to_char(updated_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') as updated_at
    from links
    order by slug";

/// Makes or changes a link and says which. `xmax` is the transaction that replaced a row: 0 in one that was inserted.
pub const PUT: &str = "
    insert into links (slug, target) values ($1, $2)
    on conflict (slug) do update set target = excluded.target, updated_at = now()
    returning xmax = 0";

/// Makes a link unless there is one.
pub const ADD: &str = "insert into links (slug, target) values ($1, $2) on conflict do nothing";

/// Removes a link, and its clicks with it.
pub const DELETE: &str = "delete from links where slug = $1";

/// Adds clicks: slugs, days since 1970-01-01, counts. A link that was removed meanwhile is left out; the order keeps
/// two replicas from waiting for each other's rows.
pub const COUNT: &str = "
    insert into clicks (slug, day, count)
    select slug, date '1970-01-01' + day, sum(count)::bigint
    from unnest($1::text[], $2::int[], $3::bigint[]) as new (slug, day, count)
    join links using (slug)
    group by slug, day
    order by slug, day
    on conflict (slug, day) do update set count = clicks.count + excluded.count";

/// Clicks by day, today (UTC) last and days without clicks included: `$1` a slug or null for all, `$2` days.
pub const CLICKS_BY_DAY: &str = "
    select to_char(days.day, 'YYYY-MM-DD') as day, coalesce(sum(clicks.count), 0)::bigint as clicks
    from generate_series((now() at time zone 'utc')::date - ($2::int - 1), (now() at time zone 'utc')::date,
                         interval '1 day') as days (day)
    left join clicks on clicks.day = days.day::date and ($1::text is null or clicks.slug = $1)
    group by days.day
    order by days.day";

/// All of them by name, for the test; it also finds a constant that is missing here.
pub const ALL: &[(&str, &str)] = &[
    ("TARGET", TARGET),
    ("READ", READ),
    ("LIST", LIST),
    ("TOTAL", TOTAL),
    ("EXPORT", EXPORT),
    ("PUT", PUT),
    ("ADD", ADD),
    ("DELETE", DELETE),
    ("COUNT", COUNT),
    ("CLICKS_BY_DAY", CLICKS_BY_DAY),
];
