using System.Globalization;

namespace OrleansRedis.Grains;

/// <summary>
/// One logical database of an OrleansRedis cluster, for an Orleans application: commands go straight to the grains that
/// own the keys, without a Redis connection in between. Made by
/// <see cref="GrainFactoryExtensions.GetRedisDatabase(IGrainFactory, int)"/>; cheap, and safe to use from many threads at
/// once. An error reply becomes a <see cref="RedisErrorException"/>.
/// </summary>
public sealed class RedisDatabase
{
    private readonly IGrainFactory _grains;
    private readonly byte[]? _user;
    private readonly byte[]? _password;

    /// <summary>A logical database of a server without a password.</summary>
    /// <param name="grains">Reaches the cluster.</param>
    /// <param name="number">The database's number, from 0.</param>
    public RedisDatabase(IGrainFactory grains, int number)
    {
        _grains = grains;
        Number = number;
    }

    /// <summary>A logical database, as a user sees it.</summary>
    /// <param name="grains">Reaches the cluster.</param>
    /// <param name="user">The user's name.</param>
    /// <param name="password">The user's password.</param>
    /// <param name="number">The database's number, from 0.</param>
    public RedisDatabase(IGrainFactory grains, RedisBytes user, RedisBytes password, int number)
        : this(grains, number)
    {
        _user = user.Memory.ToArray();
        _password = password.Memory.ToArray();
    }

    /// <summary>The database's number, from 0.</summary>
    public int Number { get; }

    /// <summary>
    /// Runs any data command: its name, then its arguments. The command is sent to the owner of the first argument,
    /// which is taken as a key; that grain's silo finds the owners of the other keys.
    /// </summary>
    public Task<RedisReply> ExecuteAsync(params RedisBytes[] command) => ExecuteAsync(command, CancellationToken.None);

    /// <summary>
    /// Runs any data command, as <see cref="ExecuteAsync(RedisBytes[])"/> does, until the caller gives up. A command
    /// that waits for a key then ends and takes nothing. Without that it ends with the error TIMEOUT when four fifths of
    /// Orleans's ResponseTimeout (24 of 30 seconds, unless configured) have passed.
    /// </summary>
    public async Task<RedisReply> ExecuteAsync(RedisBytes[] command, CancellationToken cancellation)
    {
        ArgumentOutOfRangeException.ThrowIfZero(command.Length);
        int slot = command.Length > 1 ? HashSlot.Of(command[1].Memory.Span) : 0;
        ReadOnlyMemory<byte>[] arguments = Array.ConvertAll(command, argument => argument.Memory);
        IHashSlotGrain grain = _grains.GetGrain<IHashSlotGrain>(slot);
        Identify();
        // Cancelling is a message, too. From here on it is sent in this call's request context, not in that of whoever
        // cancels.
        using CancellationTokenSource? call = cancellation.CanBeCanceled ? new() : null;
        await using CancellationTokenRegistration cancelled = cancellation.Register(static call => ((CancellationTokenSource)call!).Cancel(), call);
        RedisReply reply = RedisReply.Parse(await grain.ExecuteAsync(Number, arguments, call?.Token ?? default));
        return reply.Kind == RedisReplyKind.Error ? throw new RedisErrorException(reply.Text!) : reply;
    }

    /// <summary>
    /// Says to the server who calls. The application's own request context stays with the application: the server has no
    /// use for it, and might not know its types. (A change of the context ends with the asynchronous method that made
    /// it, ExecuteAsync.)
    /// </summary>
    private void Identify()
    {
        RequestContext.Clear();
        if (_user is null) return;
        RequestContext.Set(Caller.User, _user);
        RequestContext.Set(Caller.Password, _password!);
    }

    /// <summary>SET: gives a key a string value. Returns false if <paramref name="when"/> prevented it.</summary>
    /// <param name="key">The key.</param>
    /// <param name="value">Its new value.</param>
    /// <param name="expiry">How long the key lives; null for no expiry.</param>
    /// <param name="when">Whether the key must, or must not, exist already.</param>
    public async Task<bool> StringSetAsync(RedisBytes key, RedisBytes value, TimeSpan? expiry = null, SetWhen when = SetWhen.Always)
    {
        var command = new List<RedisBytes> { "SET", key, value };
        if (expiry is { } time) command.AddRange(["PX", (long)time.TotalMilliseconds]);
        if (when != SetWhen.Always) command.Add(when == SetWhen.Missing ? "NX" : "XX");
        return !(await ExecuteAsync([.. command])).IsNull;
    }

    /// <summary>GET: a key's string value as text, or null if there is no such key.</summary>
    public async Task<string?> StringGetAsync(RedisBytes key) => (await ExecuteAsync("GET", key)).Text;

    /// <summary>GET: a key's string value as bytes, or null if there is no such key.</summary>
    public async Task<byte[]?> StringGetBytesAsync(RedisBytes key)
    {
        RedisReply reply = await ExecuteAsync("GET", key);
        return reply.IsNull ? null : reply.Bytes.ToArray();
    }

    /// <summary>MGET: the values of several keys. A value is null if the key is missing or is not a string.</summary>
    public async Task<string?[]> StringGetAsync(params RedisBytes[] keys) =>
        [.. (await ExecuteAsync(["MGET", .. keys])).Items.Select(item => item.Text)];

    /// <summary>INCRBY: adds to the number in a key and returns the sum. A missing key counts as 0.</summary>
    public async Task<long> IncrementAsync(RedisBytes key, long by = 1) => (await ExecuteAsync("INCRBY", key, by)).Int64;

    /// <summary>
    /// DECRBY: subtracts from the number in a key and returns the difference. A missing key counts as 0.
    /// </summary>
    public async Task<long> DecrementAsync(RedisBytes key, long by = 1) => (await ExecuteAsync("DECRBY", key, by)).Int64;

    /// <summary>INCRBYFLOAT: adds to the number in a key and returns the sum.</summary>
    public async Task<double> IncrementAsync(RedisBytes key, double by) =>
        double.Parse((await ExecuteAsync("INCRBYFLOAT", key, by)).Text!, CultureInfo.InvariantCulture);

    /// <summary>APPEND: appends to a key's string and returns the new length.</summary>
    public async Task<long> StringAppendAsync(RedisBytes key, RedisBytes value) => (await ExecuteAsync("APPEND", key, value)).Int64;

    /// <summary>DEL: deletes keys and returns how many of them existed.</summary>
    public async Task<long> DeleteAsync(params RedisBytes[] keys) => (await ExecuteAsync(["DEL", .. keys])).Int64;

    /// <summary>EXISTS: whether a key exists.</summary>
    public async Task<bool> ExistsAsync(RedisBytes key) => (await ExecuteAsync("EXISTS", key)).Int64 == 1;

    /// <summary>PEXPIRE: has a key deleted after a time. Returns false if there is no such key.</summary>
    public async Task<bool> ExpireAsync(RedisBytes key, TimeSpan time) =>
        (await ExecuteAsync("PEXPIRE", key, (long)time.TotalMilliseconds)).Int64 == 1;

    /// <summary>PERSIST: removes a key's expiry. Returns false if it had none.</summary>
    public async Task<bool> PersistAsync(RedisBytes key) => (await ExecuteAsync("PERSIST", key)).Int64 == 1;

    /// <summary>PTTL: how long a key will live; null if it has no expiry or does not exist.</summary>
    public async Task<TimeSpan?> TimeToLiveAsync(RedisBytes key)
    {
        long ms = (await ExecuteAsync("PTTL", key)).Int64;
        return ms < 0 ? null : TimeSpan.FromMilliseconds(ms);
    }

    /// <summary>TYPE: "string", "list", "hash"…, or "none".</summary>
    public async Task<string> TypeAsync(RedisBytes key) => (await ExecuteAsync("TYPE", key)).Text!;
}

/// <summary>A condition of <see cref="RedisDatabase.StringSetAsync"/>.</summary>
public enum SetWhen
{
    /// <summary>Always set it.</summary>
    Always,

    /// <summary>Only set it if the key does not exist.</summary>
    Missing,

    /// <summary>Only set it if the key exists.</summary>
    Present,
}

/// <summary>Gives an Orleans application access to the databases.</summary>
public static class GrainFactoryExtensions
{
    /// <summary>A logical database, by number (the first is 0).</summary>
    public static RedisDatabase GetRedisDatabase(this IGrainFactory grains, int number = 0) => new(grains, number);

    /// <summary>
    /// A logical database, by number (the first is 0), as a user of the server. The password of requirepass is that of
    /// the user "default". If it is wrong, every call fails with the error WRONGPASS; what the user may not do, with
    /// NOPERM.
    /// </summary>
    public static RedisDatabase GetRedisDatabase(this IGrainFactory grains, RedisBytes user, RedisBytes password, int number = 0) =>
        new(grains, user, password, number);
}
