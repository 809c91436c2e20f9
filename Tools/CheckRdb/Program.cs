using System.Text;
using OrleansRedis.Engine;

// orleansredis-check-rdb <rdb-file-name>: has redis-check-rdb's output and exit codes.
if (args.Length != 1)
{
    Console.Error.WriteLine("Usage: orleansredis-check-rdb <rdb-file-name>");
    return 1;
}
if (args is ["-v" or "--version"])
{
    Console.WriteLine($"orleansredis-check-rdb {ServerVersion.Own} (Redis {ServerVersion.Redis})");
    return 0;
}

using var output = new StreamWriter(Console.OpenStandardOutput(), Encoding.Latin1);
string name = Encoding.Latin1.GetString(Encoding.UTF8.GetBytes(args[0]));
try
{
    using var file = new FileStream(args[0], FileMode.Open, FileAccess.Read, FileShare.ReadWrite, bufferSize: 0);
    return RdbFileCheck.Run(file, name, output, DateTimeOffset.UtcNow.ToUnixTimeMilliseconds(), out _) ? 0 : 1;
}
catch (Exception e) when (e is IOException or UnauthorizedAccessException)
{
    output.Write($"[offset 0] Checking RDB file {name}\n");
    output.Flush();
    Console.Error.WriteLine($"Cannot read {args[0]}: {e.Message}");
    return 1;
}
