using System.Buffers;
using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>
/// What is to be pushed to a client and is not yet in its output. Any thread adds to it; the client's own takes all at
/// once. What is pushed is shared between all who get it, and copied only into their outputs.
/// </summary>
internal sealed class PushQueue
{
    private const int Least = 16;

    private readonly Lock _adding = new();
    private readonly Lock _taking = new();
    private Push[] _queued = []; // rented while there is something in it
    private int _count;
    private long _bytes;

    public bool IsEmpty => Volatile.Read(ref _count) == 0;

    /// <summary>How many bytes there are.</summary>
    public long Bytes => Volatile.Read(ref _bytes);

    /// <summary>Adds a push. True if there was none, so that the client has to be told.</summary>
    public bool Add(in Push push)
    {
        lock (_adding)
        {
            if (_count == _queued.Length) Grow();
            _queued[_count++] = push;
            _bytes += push.Bytes.Length;
            return _count == 1;
        }
    }

    /// <summary>Writes all that is there.</summary>
    /// <param name="output">Where to.</param>
    /// <param name="isInPubSub">Whether the client has subscriptions and speaks RESP2.</param>
    /// <param name="client">If not null, nothing is taken unless it <see cref="ClientConnection.TakesPushes"/> at the
    /// moment.</param>
    public void MoveTo(RespWriter output, bool isInPubSub, ClientConnection? client = null)
    {
        // A connection and a command that runs for it on another thread may do it at the same time.
        lock (_taking)
        {
            Push[] taken;
            int count;
            lock (_adding)
            {
                // Asked here, so that everything taken was added before the answer was no longer true.
                if (client is { TakesPushes: false }) return;
                (taken, count) = (_queued, _count);
                _queued = [];
                _count = 0;
                _bytes = 0;
            }
            Push.WriteAll(output, isInPubSub, taken.AsSpan(0, count));
            GiveBack(taken, count);
        }
    }

    private void Grow()
    {
        Push[] larger = ArrayPool<Push>.Shared.Rent(Math.Max(Least, _count * 2));
        _queued.AsSpan(0, _count).CopyTo(larger);
        GiveBack(_queued, _count);
        _queued = larger;
    }

    private static void GiveBack(Push[] rented, int count)
    {
        if (rented.Length == 0) return;
        Array.Clear(rented, 0, count); // so that what was pushed is not kept alive
        ArrayPool<Push>.Shared.Return(rented);
    }
}
