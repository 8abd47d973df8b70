-- Links and a year of clicks for development. Safe to load again, also over links that were changed since.
insert into links (slug, target) values
    ('wiki',       'https://wiki.example.com/start'),
    ('oncall',     'https://pager.example.com/schedules/current'),
    ('roadmap',    'https://planning.example.com/boards/roadmap?view=quarter'),
    ('holidays',   'https://people.example.com/calendar/holidays'),
    ('expenses',   'https://finance.example.com/expenses/new'),
    ('incidents',  'https://status.example.com/internal/incidents'),
    ('onboarding', 'https://wiki.example.com/people/first-week'),
    ('lunch',      'https://canteen.example.com/menu/today'),
    ('brand',      'https://design.example.com/library/logo-and-colours'),
    ('all-hands',  'https://meet.example.com/rooms/all-hands'),
    ('dashboards', 'https://metrics.example.com/d/overview?from=now-24h'),
    ('travel',     'https://people.example.com/policies/travel')
on conflict do nothing;

-- Weekdays are busy, weekends quiet, some weeks are better, and the use doubles over the year. All else is a hash of
-- the day and the name: no two links look alike, and chance has no part in it.
insert into clicks (slug, day, count)
select slug, day, count
from (
    select popular.slug,
           day::date as day,
           round(popular.weight
                 * case extract(isodow from day) when 6 then 0.12 when 7 then 0.08 when 5 then 0.8 else 1 end
                 * (1 - 0.5 * (today - day::date) / 364.0)
                 * (0.75 + 0.5 * (abs(hashtext(to_char(day, 'IYYY-IW'))::bigint) % 1000) / 1000.0)
                 * (0.7 + 0.6 * (abs(hashtext(popular.slug || day::date)::bigint) % 1000) / 1000.0))::bigint as count
    from (values ('wiki', 60), ('oncall', 22), ('roadmap', 14), ('holidays', 5), ('expenses', 11), ('incidents', 8),
                 ('onboarding', 4), ('lunch', 35), ('brand', 3), ('all-hands', 6), ('dashboards', 27), ('travel', 2))
             as popular (slug, weight),
         (select (now() at time zone 'utc')::date as today) as clock,
         generate_series(today - 364, today, interval '1 day') as day
) as demo
join links using (slug)
where count > 0
on conflict do nothing;
