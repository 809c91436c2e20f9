namespace OrleansRedis.Engine;

/// <summary>
/// An editable copy of a HyperLogLog. A sparse one changes its length, and becomes dense when a register value does not
/// fit or when it grows beyond hll-sparse-max-bytes. The resulting bytes are the same as Redis's.
/// </summary>
internal sealed class HyperLogLogEditor
{
    [ThreadStatic]
    private static HyperLogLogEditor? t_shared;

    private byte[] _bytes = new byte[HyperLogLog.DenseLength];
    private int _length;

    /// <summary>The editor that commands on this thread share.</summary>
    public static HyperLogLogEditor Shared => t_shared ??= new();

    public Span<byte> Bytes => _bytes.AsSpan(0, _length);

    public bool IsSparse => HyperLogLog.IsSparse(_bytes);

    public void Load(ReadOnlySpan<byte> bytes)
    {
        // A sparse one made under another limit, or by hand, may be longer than a dense one; it may grow by three more
        // bytes.
        if (bytes.Length + 3 > _bytes.Length) _bytes = new byte[bytes.Length + 3];
        bytes.CopyTo(_bytes);
        _length = bytes.Length;
    }

    public void LoadEmpty() => _length = HyperLogLog.WriteEmpty(_bytes);

    /// <summary>Becomes dense if it is not dense yet. False if the bytes are invalid.</summary>
    public bool TryToDense()
    {
        if (!IsSparse) return true;
        byte[] dense = new byte[HyperLogLog.DenseLength];
        if (!HyperLogLog.TryWriteDense(Bytes, dense)) return false;
        _bytes = dense;
        _length = dense.Length;
        return true;
    }

    /// <summary>Raises a register. False if the bytes are invalid.</summary>
    public bool TryRaise(int index, int count, long sparseMaxBytes, out bool raised)
    {
        if (IsSparse) return TryRaiseSparse(index, count, sparseMaxBytes, out raised);
        raised = HyperLogLog.RaiseDense(_bytes, index, count);
        return true;
    }

    private bool TryRaiseSparse(int index, int count, long sparseMaxBytes, out bool raised)
    {
        raised = false;
        if (count > SparseOpcode.LargestValue) return TryRaiseAsDense(index, count, out raised);
        if (!TryFind(index, out int at, out int before, out int first)) return false;
        SparseOpcode.TryRead(Bytes[at..], out SparseOpcode opcode);
        if (opcode.Value >= count) return true;
        if (opcode.Run == 1 && opcode.Length == 1)
        {
            SparseOpcode.Values(count, 1).WriteTo(_bytes.AsSpan(at));
        }
        else
        {
            Span<byte> sequence = stackalloc byte[5];
            int length = 0, left = index - first, right = first + opcode.Run - 1 - index;
            if (left > 0) Put(sequence, ref length, opcode.Value == 0 ? SparseOpcode.Zeros(left) : SparseOpcode.Values(opcode.Value, left));
            Put(sequence, ref length, SparseOpcode.Values(count, 1));
            if (right > 0) Put(sequence, ref length, opcode.Value == 0 ? SparseOpcode.Zeros(right) : SparseOpcode.Values(opcode.Value, right));
            int more = length - opcode.Length;
            if (more > 0 && _length + more > sparseMaxBytes) return TryRaiseAsDense(index, count, out raised);
            if (_length + more > _bytes.Length) Array.Resize(ref _bytes, _length + 64);
            _bytes.AsSpan(at + opcode.Length, _length - at - opcode.Length).CopyTo(_bytes.AsSpan(at + length));
            sequence[..length].CopyTo(_bytes.AsSpan(at));
            _length += more;
        }
        MergeValues(before >= 0 ? before : HyperLogLog.HeaderLength);
        HyperLogLog.Invalidate(_bytes);
        raised = true;
        return true;
    }

    /// <summary>
    /// Finds the opcode that covers a register, the position of the opcode before it (-1 if there is none), and the
    /// first register it covers. On average this walks half of a sparse HyperLogLog, so it reads only the run of each
    /// opcode.
    /// </summary>
    private bool TryFind(int index, out int at, out int before, out int first)
    {
        ReadOnlySpan<byte> bytes = Bytes;
        at = HyperLogLog.HeaderLength;
        before = -1;
        first = 0;
        while (at < bytes.Length)
        {
            int opcode = bytes[at], run, length = 1;
            if ((opcode & 0x80) != 0)
            {
                run = (opcode & 3) + 1;
            }
            else if ((opcode & 0x40) == 0)
            {
                run = opcode + 1;
            }
            else
            {
                if (at + 1 == bytes.Length) return false;
                run = (((opcode & 63) << 8) | bytes[at + 1]) + 1;
                length = 2;
            }
            if (index < first + run) return true;
            before = at;
            at += length;
            first += run;
        }
        return false;
    }

    /// <summary>
    /// Joins neighbours with the same value among the next few opcodes, as many as one change can have touched.
    /// </summary>
    private void MergeValues(int at)
    {
        for (int looks = 5; looks > 0 && SparseOpcode.TryRead(Bytes[at..], out SparseOpcode opcode); looks--)
        {
            if (opcode.Value != 0 && SparseOpcode.TryRead(Bytes[(at + 1)..], out SparseOpcode next) && next.Value == opcode.Value
                && opcode.Run + next.Run <= SparseOpcode.LongestValueRun)
            {
                _bytes.AsSpan(at + 1, _length - at - 1).CopyTo(_bytes.AsSpan(at));
                SparseOpcode.Values(opcode.Value, opcode.Run + next.Run).WriteTo(_bytes.AsSpan(at));
                _length--;
                continue;
            }
            at += opcode.Length;
        }
    }

    private bool TryRaiseAsDense(int index, int count, out bool raised)
    {
        raised = false;
        if (!TryToDense()) return false;
        raised = HyperLogLog.RaiseDense(_bytes, index, count);
        return true;
    }

    private static void Put(Span<byte> sequence, ref int length, SparseOpcode opcode)
    {
        opcode.WriteTo(sequence[length..]);
        length += opcode.Length;
    }
}
