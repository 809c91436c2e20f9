namespace OrleansRedis.Grains.ClusterStores;

/// <summary>
/// What a cluster has in PostgreSQL: the documents of its store, and Orleans's membership. Each statement makes what is
/// missing and leaves alone what is there, so a database in which an operator has run Orleans's own scripts will do.
/// <para>
/// Microsoft.Orleans.Clustering.AdoNet names the columns and parameters, and finds its statements in orleansquery. A
/// change of a silo's row is good only together with the next version of the table. So each such statement takes the row
/// of the version first, under the condition that it is the expected one, and does the rest if it got it: of two silos
/// the second waits for the first, and then finds another version.
/// </para>
/// </summary>
internal static class PostgresClusterSchema
{
    /// <summary>First key of the advisory lock under which tables are made; the second is the schema's.</summary>
    public const int MakingLock = 1_380_206_011;

    public static IEnumerable<string> Statements =>
    [
        """
        create table if not exists orleansredis_document (
            cluster text not null,
            document text not null,
            version bigint not null,
            bytes bytea not null,
            writers uuid[] not null,
            primary key (cluster, document))
        """,
        """
        create table if not exists orleansquery (
            querykey varchar(64) not null,
            querytext varchar(8000) not null,
            constraint orleansquery_key primary key (querykey))
        """,
        """
        create table if not exists orleansmembershipversiontable (
            deploymentid varchar(150) not null,
            timestamp timestamptz(3) not null default now(),
            version integer not null default 0,
            constraint pk_orleansmembershipversiontable_deploymentid primary key (deploymentid))
        """,
        """
        create table if not exists orleansmembershiptable (
            deploymentid varchar(150) not null,
            address varchar(45) not null,
            port integer not null,
            generation integer not null,
            siloname varchar(150) not null,
            hostname varchar(150) not null,
            status integer not null,
            proxyport integer,
            suspecttimes varchar(8000),
            starttime timestamptz(3) not null,
            iamalivetime timestamptz(3) not null,
            constraint pk_membershiptable_deploymentid primary key (deploymentid, address, port, generation),
            constraint fk_membershiptable_membershipversiontable_deploymentid
                foreign key (deploymentid) references orleansmembershipversiontable (deploymentid))
        """,
        .. s_queries.Select(query => $"insert into orleansquery values ('{query.Key}', $query${query.Value}$query$) on conflict do nothing"),
    ];

    private const string ThisSilo = "deploymentid = @DeploymentId and address = @Address and port = @Port and generation = @Generation";

    private const string Columns = """
        select v.deploymentid, m.address, m.port, m.generation, m.siloname, m.hostname, m.status, m.proxyport, m.suspecttimes,
            m.starttime, m.iamalivetime, v.version
        from orleansmembershipversiontable v left join orleansmembershiptable m on m.deploymentid = v.deploymentid
        """;

    private const string TakeVersion = """
        update orleansmembershipversiontable set timestamp = now(), version = version + 1
        where deploymentid = @DeploymentId and version = @Version
        """;

    private static readonly Dictionary<string, string> s_queries = new()
    {
        ["InsertMembershipVersionKey"] = """
            with made as (
                insert into orleansmembershipversiontable (deploymentid) values (@DeploymentId) on conflict do nothing returning 1)
            select count(*) from made
            """,
        // The version is returned also when there is no silo.
        ["MembershipReadAllKey"] = $"{Columns} where v.deploymentid = @DeploymentId",
        ["MembershipReadRowKey"] = $"""
            {Columns} and m.address = @Address and m.port = @Port and m.generation = @Generation
            where v.deploymentid = @DeploymentId
            """,
        ["InsertMembershipKey"] = $"""
            with next as (
                {TakeVersion} and not exists (select from orleansmembershiptable where {ThisSilo}) returning 1),
            made as (
                insert into orleansmembershiptable (
                    deploymentid, address, port, generation, siloname, hostname, status, proxyport, starttime, iamalivetime)
                select @DeploymentId, @Address, @Port, @Generation, @SiloName, @HostName, @Status, @ProxyPort, @StartTime, @IAmAliveTime
                from next returning 1)
            select count(*) from made
            """,
        ["UpdateMembershipKey"] = $"""
            with next as (
                {TakeVersion} and exists (select from orleansmembershiptable where {ThisSilo}) returning 1),
            changed as (
                update orleansmembershiptable set status = @Status, suspecttimes = @SuspectTimes, iamalivetime = @IAmAliveTime
                from next where {ThisSilo} returning 1)
            select count(*) from changed
            """,
        ["UpdateIAmAlivetimeKey"] = $"update orleansmembershiptable set iamalivetime = @IAmAliveTime where {ThisSilo}",
        ["DeleteMembershipTableEntriesKey"] = """
            delete from orleansmembershiptable where deploymentid = @DeploymentId;
            delete from orleansmembershipversiontable where deploymentid = @DeploymentId
            """,
        // 3 is SiloStatus.Active.
        ["CleanupDefunctSiloEntriesKey"] =
            "delete from orleansmembershiptable where deploymentid = @DeploymentId and iamalivetime < @IAmAliveTime and status <> 3",
        ["GatewaysQueryKey"] = """
            select address, proxyport, generation from orleansmembershiptable
            where deploymentid = @DeploymentId and status = @Status and proxyport > 0
            """,
    };
}
