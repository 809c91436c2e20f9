using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Storage;

/// <summary>Silos of Orleans that come, are killed and come back, with their membership in our stores.</summary>
[Trait("Needs", "servers")]
[Collection(PostgresServer.Collection)]
public sealed class MemberSiloTests(PostgresServer server)
{
    [Fact]
    public async Task Three_silos_and_nothing_else_are_a_cluster_that_notices_a_killed_one()
    {
        await using var cluster = new RaftCluster(3);
        await RunAsync([.. Enumerable.Range(0, 3).Select(member => (Func<int, MemberSilo>)(port => MemberSilo.Start(cluster, member, port)))]);
    }

    [SkippableFact]
    public async Task Two_silos_on_PostgreSQL_are_one()
    {
        PostgresServer.Require();
        string database = await server.CreateDatabaseAsync();
        await RunAsync(Enumerable.Repeat<Func<int, MemberSilo>>(port => MemberSilo.Start(database, port), 2).ToArray());
    }

    [SkippableFact]
    public async Task Two_silos_on_Azure_Tables_are_one()
    {
        string account = await AzureTables.AccountAsync();
        await RunAsync(Enumerable.Repeat<Func<int, MemberSilo>>(port => MemberSilo.StartOnAzure(account, port), 2).ToArray());
    }

    private static async Task RunAsync(Func<int, MemberSilo>[] start)
    {
        MemberSilo[] silos = [.. start.Select(one => one(RedisProcess.FreeSiloPort()))];
        try
        {
            await AllSeeAsync(silos, silos);

            // It is killed, so it cannot say that it goes.
            await silos[0].DisposeAsync();
            foreach (MemberSilo survivor in silos[1..]) await survivor.SeesAsync(silos[0], SiloStatus.Dead);

            silos[0] = start[0](silos[0].Port);
            await AllSeeAsync(silos, silos);

            await silos[1].StopAsync();
            await silos[0].SeesAsync(silos[1], SiloStatus.Dead);
        }
        finally
        {
            foreach (MemberSilo silo in silos) await silo.DisposeAsync();
        }
    }

    private static async Task AllSeeAsync(MemberSilo[] all, MemberSilo[] seen)
    {
        foreach (MemberSilo silo in all)
        {
            foreach (MemberSilo other in seen) await silo.SeesAsync(other, SiloStatus.Active);
        }
    }
}
