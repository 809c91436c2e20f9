namespace OrleansRedis.Benchmarks;

/// <summary>Measures servers in alternation, so that all of them see the same conditions.</summary>
internal static class Alternation
{
    /// <summary>
    /// Measures every server once a round. Each round begins with a different server, and every second round goes
    /// backwards, so that no server always has the same predecessor: with two servers A B, B A, A B …
    /// </summary>
    /// <returns>Each server's results, in the order of the servers.</returns>
    public static async Task<T[][]> RunAsync<T>(int servers, int rounds, Func<int, Task<T>> measureAsync)
    {
        T[][] results = [.. Enumerable.Range(0, servers).Select(_ => new T[rounds])];
        for (int round = 0; round < rounds; round++)
        {
            for (int turn = 0; turn < servers; turn++)
            {
                int who = ((round / 2) + (round % 2 == 0 ? turn : servers - 1 - turn)) % servers;
                results[who][round] = await measureAsync(who);
            }
        }

        return results;
    }
}
