using OrleansRedis.Engine;
using OrleansRedis.Grains.Storage;

namespace OrleansRedis.Tests.Storage;

public sealed class MemorySlotStorageTests : SlotStorageContract
{
    private readonly string _name = Guid.NewGuid().ToString();

    protected override Task<ISlotStorage> OpenAsync() => Task.FromResult<ISlotStorage>(new MemorySlotStorage(_name));
}
