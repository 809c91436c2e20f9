using System.Text;
using OrleansRedis.Engine;

// orleansredis-check-aof [--fix | --truncate-to-timestamp timestamp] file: has redis-check-aof's output and exit codes.
if (args is ["-v" or "--version"])
{
    Console.WriteLine($"orleansredis-check-aof {ServerVersion.Own} (Redis {ServerVersion.Redis})");
    return 0;
}
using var output = new StreamWriter(Console.OpenStandardOutput(), Encoding.Latin1);
return new AofCheck(Console.In, output, DateTimeOffset.UtcNow.ToUnixTimeMilliseconds()).Run("orleansredis-check-aof", args);
