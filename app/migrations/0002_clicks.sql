-- One row a link and day (UTC), not one a click: a year of a busy link is 365 rows, and nothing about people is kept.
create table clicks (
    slug text collate "C" not null references links on delete cascade,
    day date not null,
    count bigint not null check (count > 0),
    primary key (slug, day)
);

-- For the chart over all links.
create index clicks_by_day on clicks (day);
