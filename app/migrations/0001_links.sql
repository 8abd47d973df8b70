-- The checks repeat what app/src/links/slug.rs and target.rs parse: rows also come from psql and from imports.
-- Collation "C": one order of slugs on every system, and the index serves it.
create table links (
    slug text collate "C" primary key check (slug ~ '^[a-z0-9][a-z0-9._-]{0,63}$'),
    target text not null check (target ~ '^https?://' and octet_length(target) <= 2048),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
