namespace OrleansRedis.Grains.Storage;

/// <summary>
/// The tables and functions in PostgreSQL, as a series of steps: a database is brought from the step it is at to the
/// last one. A step is never changed once it has been released; a change is a new step. Everything lives in the first
/// schema of the connection's search path.
/// <para>
/// <b>Fencing.</b> The epochs in orleansredis_slot decide whether an append may happen, and a claim, which changes
/// them, must not slip in between that decision and the append's commit. So an append takes one advisory lock shared,
/// then reads the epochs in a separate statement, and holds the lock until it has committed; a claim takes the same
/// lock exclusively. There are two cases. Either the append committed before the claim began: then the claimer will
/// read it. Or the claim committed before the append read the epochs: then the append is refused. (Row locks would do
/// the same, but a shared row lock is written to disk, for every slot of every append; this lock is kept in memory.)
/// </para>
/// <para>
/// The epochs must be read in a snapshot taken after the lock was granted. READ COMMITTED gives each statement of a
/// function such a snapshot. Under REPEATABLE READ the snapshot would be older than the lock, so that is refused. The
/// whole append is one call of a function, not several statements from the client: the server begins it only once it
/// has all of it, so a silo that freezes or is cut off half-way leaves no lock behind for others to wait for.
/// </para>
/// </summary>
internal static class PostgresSchema
{
    /// <summary>
    /// First key of our advisory locks, to tell them from others in the same database; the second key is the schema's.
    /// This one is held while tables are made; the next number is the lock of claims and appends.
    /// </summary>
    public const int MakingLock = 1_380_206_001;

    /// <summary>The newest step.</summary>
    public static int Version => s_steps.Length;

    /// <summary>The table that holds the version. It is made before any step.</summary>
    public const string VersionTable = """
        create table if not exists orleansredis_version (
            only_row boolean primary key default true check (only_row),
            version integer not null,
            service text not null)
        """;

    /// <summary>The step from this version to the next.</summary>
    public static string Step(int from) => s_steps[from];

    private static readonly string[] s_steps =
    [
        """
        create sequence orleansredis_snapshot_number;

        -- One row for each slot that was ever claimed. The snapshot is the one whose pieces bear its number; it
        -- reaches up to (snapshot_epoch, snapshot_sequence).
        create table orleansredis_slot (
            slot integer primary key,
            epoch bigint not null,
            claimed_at timestamptz not null default now(),
            claimed_by text not null default current_setting('application_name'),
            snapshot bigint,
            snapshot_epoch bigint not null default 0,
            snapshot_sequence bigint not null default 0) with (fillfactor = 50);

        -- A piece that is long lies in several rows (parts).
        create table orleansredis_snapshot (
            slot integer not null,
            snapshot bigint not null,
            piece integer not null,
            part integer not null,
            bytes bytea not null,
            primary key (slot, snapshot, piece, part));
        alter table orleansredis_snapshot alter column bytes set storage external;

        -- Effects first_sequence to last_sequence of one epoch of one slot.
        create table orleansredis_log (
            slot integer not null,
            epoch bigint not null,
            last_sequence bigint not null,
            part integer not null,
            first_sequence bigint not null,
            effects bytea not null,
            primary key (slot, epoch, last_sequence, part));
        alter table orleansredis_log alter column effects set storage external;

        -- Takes the lock of claims and appends, and returns those of the slots whose epoch is not the latest.
        create function orleansredis_stale(slots integer[], epochs bigint[]) returns integer[] language plpgsql as $function$
        declare
            stale integer[];
        begin
            if current_setting('transaction_isolation') <> 'read committed' then
                raise exception 'orleansredis needs transactions that are read committed, not %', current_setting('transaction_isolation');
            end if;
            -- What is stored must be on disk before it is acknowledged, whatever the database's usual setting is.
            if current_setting('synchronous_commit') = 'off' then
                perform set_config('synchronous_commit', 'on', true);
            end if;
            perform pg_advisory_xact_lock_shared(1380206002, hashtext(current_schema()));
            select array_agg(distinct asked.slot order by asked.slot) into stale
                from unnest(slots, epochs) as asked(slot, epoch) left join orleansredis_slot known on known.slot = asked.slot
                where known.epoch is distinct from asked.epoch;
            return coalesce(stale, '{}');
        end $function$;

        create function orleansredis_claim(slots integer[]) returns table (claimed integer, granted bigint) language plpgsql as $function$
        begin
            if current_setting('synchronous_commit') = 'off' then
                perform set_config('synchronous_commit', 'on', true);
            end if;
            perform pg_advisory_xact_lock(1380206002, hashtext(current_schema()));
            return query
                insert into orleansredis_slot as known (slot, epoch) select wanted, 1 from unnest(slots) as wanted
                on conflict (slot) do update set epoch = known.epoch + 1, claimed_at = now(), claimed_by = current_setting('application_name')
                returning known.slot, known.epoch;
        end $function$;

        -- Returns the stale slots; it has appended if there are none. What is there already has been appended by a call whose answer was lost.
        create function orleansredis_append(slots integer[], epochs bigint[], firsts bigint[], lasts bigint[], parts integer[], frames bytea[])
            returns integer[] language plpgsql as $function$
        declare
            stale integer[] := orleansredis_stale(slots, epochs);
        begin
            if stale = '{}' then
                insert into orleansredis_log (slot, epoch, first_sequence, last_sequence, part, effects)
                    select * from unnest(slots, epochs, firsts, lasts, parts, frames)
                    on conflict do nothing;
            end if;
            return stale;
        end $function$;

        -- Makes snapshots whose pieces are there the current ones, unless those reach further, and deletes the pieces of all others.
        create function orleansredis_replace(slots integer[], epochs bigint[], snapshots bigint[], up_to_epochs bigint[], up_to_sequences bigint[])
            returns integer[] language plpgsql as $function$
        declare
            stale integer[] := orleansredis_stale(slots, epochs);
        begin
            if stale = '{}' then
                update orleansredis_slot known
                    set snapshot = made.snapshot, snapshot_epoch = made.up_to_epoch, snapshot_sequence = made.up_to_sequence
                    from unnest(slots, snapshots, up_to_epochs, up_to_sequences) as made(slot, snapshot, up_to_epoch, up_to_sequence)
                    where known.slot = made.slot and (known.snapshot_epoch, known.snapshot_sequence) < (made.up_to_epoch, made.up_to_sequence);
                delete from orleansredis_snapshot piece using orleansredis_slot known
                    where piece.slot = any(slots) and known.slot = piece.slot and piece.snapshot is distinct from known.snapshot;
            end if;
            return stale;
        end $function$;

        create function orleansredis_trim(slots integer[], epochs bigint[], up_to_epochs bigint[], up_to_sequences bigint[])
            returns integer[] language plpgsql as $function$
        declare
            stale integer[] := orleansredis_stale(slots, epochs);
        begin
            if stale = '{}' then
                delete from orleansredis_log old
                    using unnest(slots, up_to_epochs, up_to_sequences) as trim(slot, up_to_epoch, up_to_sequence), orleansredis_slot known
                    where old.slot = trim.slot and known.slot = trim.slot
                        and (old.epoch, old.last_sequence) <= (trim.up_to_epoch, trim.up_to_sequence)
                        and (old.epoch, old.last_sequence) <= (known.snapshot_epoch, known.snapshot_sequence);
            end if;
            return stale;
        end $function$;
        """,
    ];
}
