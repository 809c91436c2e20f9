using System.Net;
using Xunit;

namespace OrleansRedis.Tests.Storage;

/// <summary>What Orleans expects of a membership table, whoever keeps it.</summary>
public abstract class MembershipTableContract
{
    private static readonly DateTime s_now = new(2026, 11, 28, 12, 0, 0, DateTimeKind.Utc);

    /// <summary>The table of this test's cluster, as one more silo sees it.</summary>
    protected abstract Task<IMembershipTable> OpenAsync();

    /// <summary>The gateways of this test's cluster, as a client sees them.</summary>
    protected abstract Task<IReadOnlyList<Uri>> GatewaysAsync();

    [SkippableFact]
    public async Task A_silo_is_added_with_the_next_version_of_the_table_and_once()
    {
        IMembershipTable table = await OpenAsync();
        MembershipTableData empty = await table.ReadAllAsync();
        Assert.Empty(empty.Members);

        MembershipEntry silo = Entry(1);
        Assert.True(await table.InsertRowAsync(silo, empty.Version.Next()));
        MembershipTableData one = await table.ReadAllAsync();
        Assert.Equal(empty.Version.Version + 1, one.Version.Version);
        Assert.NotEqual(empty.Version.VersionEtag, one.Version.VersionEtag);
        AssertEqual(silo, Assert.Single(one.Members).Item1);

        Assert.False(await table.InsertRowAsync(silo, one.Version.Next()));
        Assert.False(await table.InsertRowAsync(Entry(2), empty.Version.Next()));
        Assert.Equal(one.Version, (await table.ReadAllAsync()).Version);
        Assert.True(await table.InsertRowAsync(Entry(2), one.Version.Next()));
        Assert.Equal(2, (await table.ReadAllAsync()).Members.Count);
    }

    [SkippableFact]
    public async Task A_row_is_changed_with_the_next_version_of_the_table_only()
    {
        IMembershipTable table = await OpenAsync();
        MembershipEntry silo = Entry(1);
        MembershipTableData before = await table.ReadAllAsync();
        Assert.False(await table.UpdateRowAsync(silo, "0", before.Version.Next()));
        Assert.True(await table.InsertRowAsync(silo, before.Version.Next()));

        MembershipTableData read = await table.ReadRowAsync(silo.SiloAddress);
        (MembershipEntry row, string etag) = Assert.Single(read.Members);
        row.Status = SiloStatus.Active;
        row.SuspectTimes = [Tuple.Create(Address(2), s_now), Tuple.Create(Address(3), s_now.AddSeconds(1))];
        row.IAmAliveTime = s_now.AddMinutes(1);
        Assert.True(await table.UpdateRowAsync(row, etag, read.Version.Next()));
        Assert.False(await table.UpdateRowAsync(row, etag, read.Version.Next()));

        MembershipTableData after = await table.ReadRowAsync(silo.SiloAddress);
        Assert.Equal(read.Version.Version + 1, after.Version.Version);
        AssertEqual(row, Assert.Single(after.Members).Item1);
        Assert.Empty((await table.ReadRowAsync(Address(9))).Members);
        Assert.Equal(after.Version, (await table.ReadRowAsync(Address(9))).Version);
    }

    [SkippableFact]
    public async Task A_sign_of_life_disturbs_no_other_change()
    {
        IMembershipTable table = await OpenAsync();
        MembershipEntry silo = Entry(1);
        await table.InsertRowAsync(silo, (await table.ReadAllAsync()).Version.Next());
        MembershipTableData read = await table.ReadAllAsync();
        await table.UpdateIAmAliveAsync(new() { SiloAddress = silo.SiloAddress, IAmAliveTime = s_now.AddMinutes(5) });

        MembershipTableData after = await table.ReadAllAsync();
        Assert.Equal(read.Version, after.Version);
        (MembershipEntry row, string etag) = Assert.Single(after.Members);
        Assert.Equal(s_now.AddMinutes(5), row.IAmAliveTime.ToUniversalTime());
        Assert.Equal(SiloStatus.Joining, row.Status);
        row.Status = SiloStatus.Active;
        Assert.True(await table.UpdateRowAsync(row, Assert.Single(read.Members).Item2, read.Version.Next()));
    }

    [SkippableFact]
    public async Task Of_silos_that_join_at_once_each_gets_in()
    {
        const int Silos = 6;
        await Task.WhenAll(Enumerable.Range(1, Silos).Select(async number =>
        {
            IMembershipTable table = await OpenAsync();
            while (!await table.InsertRowAsync(Entry(number), (await table.ReadAllAsync()).Version.Next()))
            {
            }
        }));
        MembershipTableData all = await (await OpenAsync()).ReadAllAsync();
        Assert.Equal(Silos, all.Members.Count);
        Assert.Equal(Silos, all.Version.Version);
    }

    [SkippableFact]
    public async Task Clients_find_the_gateways_of_active_silos()
    {
        IMembershipTable table = await OpenAsync();
        foreach ((int number, SiloStatus status, int gateway) in
            ((int, SiloStatus, int)[])[(1, SiloStatus.Active, 30001), (2, SiloStatus.Dead, 30002), (3, SiloStatus.Active, 0), (4, SiloStatus.Active, 30004)])
        {
            MembershipEntry silo = Entry(number);
            silo.Status = status;
            silo.ProxyPort = gateway;
            Assert.True(await table.InsertRowAsync(silo, (await table.ReadAllAsync()).Version.Next()));
        }
        Assert.Equal(
            [SiloAddress.New(IPAddress.Loopback, 30001, 1).ToGatewayUri(), SiloAddress.New(IPAddress.Loopback, 30004, 4).ToGatewayUri()],
            (await GatewaysAsync()).OrderBy(uri => uri.Port));
    }

    [SkippableFact]
    public async Task What_has_long_been_dead_is_swept_out_and_a_whole_table_can_be()
    {
        IMembershipTable table = await OpenAsync();
        foreach ((int number, SiloStatus status, int age) in
            ((int, SiloStatus, int)[])[(1, SiloStatus.Active, 50), (2, SiloStatus.Dead, 50), (3, SiloStatus.Dead, 5), (4, SiloStatus.Joining, 50)])
        {
            MembershipEntry silo = Entry(number);
            silo.Status = status;
            silo.StartTime = silo.IAmAliveTime = s_now.AddHours(-age);
            Assert.True(await table.InsertRowAsync(silo, (await table.ReadAllAsync()).Version.Next()));
        }
        await table.CleanupDefunctSiloEntriesAsync(new DateTimeOffset(s_now.AddHours(-10)));
        Assert.Equal([1, 3], (await table.ReadAllAsync()).Members.Select(row => row.Item1.SiloAddress.Generation).Order());

        await table.DeleteMembershipTableEntriesAsync(ClusterId);
        await table.InitializeMembershipTableAsync(true);
        Assert.Empty((await table.ReadAllAsync()).Members);
    }

    protected string ClusterId { get; } = $"cluster-{Guid.NewGuid():n}";

    private static SiloAddress Address(int number) => SiloAddress.New(IPAddress.Loopback, 20000 + number, number);

    private static MembershipEntry Entry(int number) => new()
    {
        SiloAddress = Address(number),
        Status = SiloStatus.Joining,
        HostName = "host",
        SiloName = $"silo {number}",
        ProxyPort = 30000 + number,
        StartTime = s_now,
        IAmAliveTime = s_now,
    };

    private static void AssertEqual(MembershipEntry expected, MembershipEntry actual)
    {
        Assert.Equal(expected.SiloAddress, actual.SiloAddress);
        Assert.Equal(
            (expected.Status, expected.HostName, expected.SiloName, expected.ProxyPort),
            (actual.Status, actual.HostName, actual.SiloName, actual.ProxyPort));
        Assert.Equal(expected.StartTime, actual.StartTime.ToUniversalTime());
        Assert.Equal(expected.IAmAliveTime, actual.IAmAliveTime.ToUniversalTime());
        Assert.Equal(expected.SuspectTimes ?? [], actual.SuspectTimes ?? []);
    }
}
